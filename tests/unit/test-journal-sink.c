/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Console output on its way to a journal that the test plays: what is kept of lines that do not end.
 */

#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>

#include "harness.h"

#include "log/journal-sink.h"

#define STREAMS 700U
#define LINE_SIZE 8000U /* characters, of four bytes each in memory */

/* Memory of unended lines, of all VMs together: src/log/journal-sink.c */
#define PARTIAL_LINES_MAX (16U * 1024U * 1024U)
static_assert(STREAMS * LINE_SIZE * sizeof(uint32_t) > PARTIAL_LINES_MAX, "these are not enough to reach the bound");

/* The entries that have been sent to the journal, by the number of their VM. Of the sink's thread, with its lock for
 * who else reads it */
static unsigned long sent[2 * STREAMS];
static size_t n_sent;

int __wrap_access(const char *path, int mode);
int __wrap_sd_journal_sendv(const struct iovec *field, int n);
bool __wrap_spool_has_more(Spool *s, const SpoolStream *stream);

int __wrap_access(_unused_ const char *path, _unused_ int mode) {
        return 0; /* there is a journal */
}

int __wrap_sd_journal_sendv(const struct iovec *field, int n) {
        static const char name[] = "VSPC_VM_NAME=vm";
        const size_t size = strlen(name);

        /* No assertion here: the test runs in another thread. */
        for (int i = 0; i < n; i++)
                if (field[i].iov_len > size && memcmp(field[i].iov_base, name, size) == 0 && n_sent < ELEMENTSOF(sent))
                        sent[n_sent++] = strtoul((const char *) field[i].iov_base + size, NULL, 10);

        return 0;
}

/* No VM has been silent, however long this takes: what ends a line is nothing but the bound. */
bool __wrap_spool_has_more(_unused_ Spool *s, _unused_ const SpoolStream *stream) {
        return true;
}

static SpoolStream *open_stream(JournalSink *sink, unsigned number) {
        char name[16], uri[] = "s0";
        Console console = {.name = name, .uri = uri, .uuid_text = "50120000-0000-0000-0000-000000000001"};

        snprintf(name, sizeof name, "vm%u", number);
        ConsoleLabel *label = console_label_new(&console);
        assert_non_null(label);
        SpoolStream *stream = journal_sink_open(sink, label);
        assert_non_null(stream);
        console_label_unref(label);
        return stream;
}

/* Waits until the thread has written everything. Returns: how many entries it has sent. */
static size_t count_sent(Spool *s) {
        for (;;) {
                pthread_mutex_lock(&s->lock);
                bool done = s->used == 0 && !s->queue;
                size_t n = n_sent;
                pthread_mutex_unlock(&s->lock);

                if (done)
                        return n;
                sched_yield();
        }
}

static void test_unended_lines_take_so_much_memory_and_the_oldest_is_ended_first(_unused_ void **state) {
        static SpoolStream *streams[STREAMS];
        uint8_t line[LINE_SIZE];
        JournalSink *sink = NULL;

        memset(line, 'x', sizeof line);
        assert_int_equal(journal_sink_new(&sink), 0);
        Spool *spool = journal_sink_spool(sink);
        for (unsigned i = 0; i < STREAMS; i++) {
                streams[i] = open_stream(sink, i);
                spool_put(spool, streams[i], line, sizeof line);
        }

        /* What a line has allocated may be twice what is in it. */
        size_t n = count_sent(spool), most = PARTIAL_LINES_MAX / (LINE_SIZE * sizeof(uint32_t));
        assert_in_range(STREAMS - n, most / 2 - 1, most);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(sent[i], i);

        for (unsigned i = 0; i < STREAMS; i++)
                spool_end(spool, streams[i]);
        journal_sink_stop(sink);
        journal_sink_free(sink, now_monotonic() + 60 * USEC_PER_SEC);
        assert_int_equal(n_sent, STREAMS);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unended_lines_take_so_much_memory_and_the_oldest_is_ended_first),
        };

        return cmocka_run_group_tests_name("journal-sink", tests, NULL, NULL);
}
