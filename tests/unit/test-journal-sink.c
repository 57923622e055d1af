/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Console output on its way to a journal that the test plays: what is kept of lines that do not end, and what an entry says of
 * where it comes from.
 */

#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>

#include "harness.h"

#include "logger/journal-sink.h"

#define STREAMS 700U
#define LINE_SIZE 8000U /* characters, of four bytes each in memory */

/* Memory of unended lines, of all VMs together: src/logger/journal-sink.c */
#define PARTIAL_LINES_MAX (16U * 1024U * 1024U)
static_assert(STREAMS * LINE_SIZE * sizeof(uint32_t) > PARTIAL_LINES_MAX, "these are not enough to reach the bound");

/* The entries that have been sent to the journal: the number of the VM, the position and the text */
static struct {
        unsigned long vm;
        uint64_t position;
        char text[64];
} sent[2 * STREAMS];
static size_t n_sent;

int __wrap_access(const char *path, int mode);
int __wrap_sd_journal_sendv(const struct iovec *field, int n);

int __wrap_access(_unused_ const char *path, _unused_ int mode) {
        return 0; /* there is a journal */
}

/* What comes after @name, if the field is that; else NULL. */
static const char *value_of(const struct iovec *field, const char *name) {
        size_t size = strlen(name);

        return field->iov_len >= size && memcmp(field->iov_base, name, size) == 0 ? (const char *) field->iov_base + size : NULL;
}

int __wrap_sd_journal_sendv(const struct iovec *field, int n) {
        assert_true(n_sent < ELEMENTSOF(sent));

        for (int i = 0; i < n; i++) {
                const char *name = value_of(&field[i], "VSPC_VM_NAME=vm"), *position = value_of(&field[i], "VSPC_POSITION=");
                const char *text = value_of(&field[i], "MESSAGE=");

                if (name)
                        sent[n_sent].vm = strtoul(name, NULL, 10);
                if (position)
                        sent[n_sent].position = strtoull(position, NULL, 10);
                if (text) {
                        size_t size = MIN(field[i].iov_len - strlen("MESSAGE="), sizeof sent[n_sent].text - 1);

                        memcpy(sent[n_sent].text, text, size);
                        sent[n_sent].text[size] = 0;
                }
        }

        n_sent++;
        return 0;
}

static LogTarget *open_target(LogSink *sink, unsigned number, uint64_t position) {
        char name[16];
        const LogOpen open = {.name = name, .uuid = "50120000-0000-0000-0000-000000000001", .uri = "s0", .prefix = ""};

        snprintf(name, sizeof name, "vm%u", number);
        LogTarget *t = calloc(1, sink->type->target_size);
        assert_non_null(t);
        t->position = position;
        t->label = console_label_new(&open);
        assert_non_null(t->label);
        assert_int_equal(sink->type->open(sink, t, &open), 0);
        return t;
}

static void write_text(LogSink *sink, LogTarget *t, const char *text) {
        sink->type->write(sink, t, (const uint8_t *) text, strlen(text));
        t->position += strlen(text);
}

static void close_target(LogSink *sink, LogTarget *t) {
        sink->type->end(sink, t);
        sink->type->close(sink, t);
        free(t->label);
        free(t);
}

static void test_unended_lines_take_so_much_memory_and_the_oldest_is_ended_first(_unused_ void **state) {
        static LogTarget *targets[STREAMS];
        uint8_t line[LINE_SIZE];
        LogSink *sink = NULL;

        n_sent = 0;
        memset(line, 'x', sizeof line);
        assert_int_equal(journal_sink_new(&sink), 0);
        for (unsigned i = 0; i < STREAMS; i++) {
                targets[i] = open_target(sink, i, 0);
                sink->type->write(sink, targets[i], line, sizeof line);
        }

        /* What a line has allocated may be twice what is in it. */
        size_t n = n_sent, most = PARTIAL_LINES_MAX / (LINE_SIZE * sizeof(uint32_t));
        assert_in_range(STREAMS - n, most / 2 - 1, most);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(sent[i].vm, i);

        for (unsigned i = 0; i < STREAMS; i++)
                close_target(sink, targets[i]);
        journal_sink_free(sink);
        assert_int_equal(n_sent, STREAMS);
}

static void test_an_entry_says_where_its_line_or_its_gap_begins(_unused_ void **state) {
        static const struct {
                uint64_t position;
                const char *text;
        } want[] = {
                {1000, "one"},
                {1005, "two"},
                {1009, "pa"},
                {1011, "7 bytes of console output were not logged"},
                {1018, "rest"},
        };
        LogSink *sink = NULL;

        n_sent = 0;
        assert_int_equal(journal_sink_new(&sink), 0);
        LogTarget *t = open_target(sink, 1, 1000);
        write_text(sink, t, "one\r\ntwo\npa");
        sink->type->gap(sink, t, 7);
        t->position += 7;
        write_text(sink, t, "re");
        write_text(sink, t, "st\n");

        assert_int_equal(n_sent, ELEMENTSOF(want));
        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                assert_int_equal(sent[i].position, want[i].position);
                assert_string_equal(sent[i].text, want[i].text);
        }
        close_target(sink, t);
        journal_sink_free(sink);
}

/* Another vspc-logger would begin with a line's first byte. */
static void test_what_has_been_logged_ends_before_a_line_that_has_not_ended(_unused_ void **state) {
        LogSink *sink = NULL;

        n_sent = 0;
        assert_int_equal(journal_sink_new(&sink), 0);
        LogTarget *t = open_target(sink, 1, 0);
        write_text(sink, t, "one\n");
        assert_int_equal(t->logged, 4);
        write_text(sink, t, "\33[1mtw");
        assert_int_equal(t->logged, 4);
        write_text(sink, t, "o\n\33[");
        assert_int_equal(t->logged, 12);

        (void) sink->type->idle(sink, 0, UINT64_MAX / 2);
        assert_int_equal(n_sent, 2);
        close_target(sink, t);
        journal_sink_free(sink);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unended_lines_take_so_much_memory_and_the_oldest_is_ended_first),
                cmocka_unit_test(test_an_entry_says_where_its_line_or_its_gap_begins),
                cmocka_unit_test(test_what_has_been_logged_ends_before_a_line_that_has_not_ended),
        };

        return cmocka_run_group_tests_name("journal-sink", tests, NULL, NULL);
}
