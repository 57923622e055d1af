/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "basic/log.h"
#include "console/message.h"
#include "journal-sink.h"
#include "line-splitter.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Memory of lines that are not ended, of all VMs together. Beyond it the one that has waited for longest is
 * taken for ended. */
#define PARTIAL_LINES_MAX (16U * 1024U * 1024U)

/* MESSAGE=, PRIORITY=, SYSLOG_IDENTIFIER=, MESSAGE_ID=, and the label */
#define ENTRY_FIELDS_MAX (4U + CONSOLE_LABEL_FIELDS)

#define FIELD(literal) ((struct iovec){(char *) (literal), sizeof(literal) - 1})

typedef struct JournalStream {
        SpoolStream spool;
        ConsoleLabel *label;
        LineSplitter splitter;
        struct JournalStream *prev, *next; /* in JournalSink.partial, if it has a partial line */
        size_t partial_size;               /* bytes of memory of that line; 0: none */
        usec_t heard;                      /* when it was last written to */
        uint64_t n_missing;                /* bytes that have not been logged since something last was */
} JournalStream;

struct JournalSink {
        Spool spool;

        /* Of the thread */
        JournalStream *partial; /* utlist, the longest silent first */
        size_t n_partial;       /* bytes, of PARTIAL_LINES_MAX */
        uint64_t n_unlogged;    /* bytes, for want of a journal */
        bool missing;           /* there is none, which has been logged */
};

static int journal_send(const ConsoleLabel *label, const struct iovec *field, size_t n) {
        struct iovec entry[ENTRY_FIELDS_MAX];

        assert(n + label->n_fields < ELEMENTSOF(entry));
        memcpy(entry, field, n * sizeof *field);
        memcpy(entry + n, label->field, label->n_fields * sizeof *field);
        entry[n + label->n_fields] = FIELD("SYSLOG_IDENTIFIER=" JOURNAL_SINK_IDENTIFIER);

        return sd_journal_sendv(entry, (int) (n + label->n_fields + 1));
}

static int send_gap(const ConsoleLabel *label, uint64_t n) {
        char message[128];

        int size = snprintf(message, sizeof message,
                            "MESSAGE=%" PRIu64 " bytes of console output were not logged", n);
        return journal_send(label,
                            (const struct iovec[]){
                                    {message, (size_t) size},
                                    FIELD("PRIORITY=4"),
                                    FIELD("MESSAGE_ID=" VSPC_MESSAGE_OUTPUT_NOT_LOGGED),
                            },
                            3);
}

/* Before anything that comes after the gap. Returns: whether there is none any more. */
static bool report_missing(JournalStream *stream) {
        if (stream->n_missing > 0 && send_gap(stream->label, stream->n_missing) >= 0)
                stream->n_missing = 0;

        return stream->n_missing == 0;
}

static void on_line(const char *text, size_t n, int priority, void *userdata) {
        static const char prefix[] = "MESSAGE=";
        static const char *const priorities[] = {"PRIORITY=0", "PRIORITY=1", "PRIORITY=2", "PRIORITY=3",
                                                 "PRIORITY=4", "PRIORITY=5", "PRIORITY=6", "PRIORITY=7"};
        JournalStream *stream = userdata;
        char message[sizeof prefix + LINE_MAX_SIZE];

        memcpy(mempcpy(message, prefix, strlen(prefix)), text, n);
        if (!report_missing(stream) ||
            journal_send(stream->label,
                         (const struct iovec[]){
                                 {message, strlen(prefix) + n},
                                 {(char *) priorities[priority], strlen(priorities[priority])},
                         },
                         2) < 0)
                stream->n_missing += n;
}

/* Keeps account of the stream's partial line, after any change to it. */
static void settle_partial(JournalSink *s, JournalStream *stream, usec_t now) {
        if (stream->partial_size > 0) {
                DL_DELETE(s->partial, stream);
                s->n_partial -= TAKE(stream->partial_size, 0);
        }

        if (line_splitter_is_empty(&stream->splitter)) {
                line_splitter_clear(&stream->splitter);
                return;
        }

        stream->heard = now;
        stream->partial_size = stream->splitter.n_allocated * sizeof *stream->splitter.cell;
        s->n_partial += stream->partial_size;
        DL_APPEND(s->partial, stream);
}

static void end_partial(JournalSink *s, JournalStream *stream) {
        line_splitter_flush(&stream->splitter, on_line, stream);
        settle_partial(s, stream, 0);
}

/* sd_journal_sendv() succeeds if there is no journal; if there is one that is dead, it fails. Returns: whether there is
 * one. */
static bool check_journal(JournalSink *s, uint64_t n) {
        bool missing = access(JOURNAL_SOCKET, F_OK) < 0;

        if (missing) {
                s->n_unlogged += n;
                if (!TAKE(s->missing, true))
                        log_warning("There is no journal here (" JOURNAL_SOCKET "): console output is not "
                                    "logged to it until there is one (Journal=no: do not try)");
        } else if (TAKE(s->missing, false))
                log_notice("There is a journal now: console output is logged to it, but for %" PRIu64
                           " bytes that came before", TAKE(s->n_unlogged, 0));

        return !missing;
}

static void journal_write(Spool *spool, SpoolStream *spool_stream, const uint8_t *data, size_t n) {
        JournalSink *s = container_of(spool, JournalSink, spool);
        JournalStream *stream = container_of(spool_stream, JournalStream, spool);

        if (!check_journal(s, n))
                return;

        line_splitter_feed(&stream->splitter, data, n, on_line, stream);
        settle_partial(s, stream, now_monotonic());

        while (s->n_partial > PARTIAL_LINES_MAX)
                end_partial(s, s->partial);
}

static void journal_gap(Spool *spool, SpoolStream *spool_stream, uint64_t n) {
        JournalSink *s = container_of(spool, JournalSink, spool);
        JournalStream *stream = container_of(spool_stream, JournalStream, spool);

        if (!check_journal(s, n))
                return;

        end_partial(s, stream);
        stream->n_missing += n;
        (void) report_missing(stream);
}

static void journal_end(Spool *spool, SpoolStream *spool_stream) {
        JournalStream *stream = container_of(spool_stream, JournalStream, spool);

        end_partial(container_of(spool, JournalSink, spool), stream);
        if (!report_missing(stream))
                console_label_log_gap(stream->label, stream->n_missing, "the journal");
        console_label_unref(stream->label);
        free(stream);
}

static usec_t journal_idle(Spool *spool, usec_t now) {
        JournalSink *s = container_of(spool, JournalSink, spool);
        JournalStream *stream, *next;

        DL_FOREACH_SAFE(s->partial, stream, next) {
                if (now < stream->heard + JOURNAL_SINK_SILENCE_USEC)
                        return stream->heard + JOURNAL_SINK_SILENCE_USEC;

                /* One that has more has not been silent: journald has kept us. */
                if (!spool_has_more(spool, &stream->spool))
                        end_partial(s, stream);
        }

        return USEC_INFINITY;
}

int journal_sink_new(JournalSink **ret) {
        static const SpoolSink sink = {"vspcd-journal", journal_write, journal_gap, journal_end, journal_idle};

        _cleanup_free_ JournalSink *s = calloc(1, sizeof(JournalSink));
        if (!s)
                return -ENOMEM;

        int r = spool_start(&s->spool, &sink);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

void journal_sink_stop(JournalSink *s) {
        spool_stop(&s->spool);
}

JournalSink *journal_sink_free(JournalSink *s, usec_t deadline) {
        if (spool_join(&s->spool, deadline) < 0)
                log_warning("The journal takes no entries: the last of the consoles' output is not logged");
        else
                free(s);

        return NULL;
}

Spool *journal_sink_spool(JournalSink *s) {
        return &s->spool;
}

SpoolStream *journal_sink_open(JournalSink *s, ConsoleLabel *label) {
        _cleanup_free_ JournalStream *stream = calloc(1, sizeof(JournalStream));

        if (!stream || spool_open(&s->spool, &stream->spool, sizeof(JournalStream) + label->size) < 0)
                return NULL;

        stream->label = console_label_ref(label);
        return &TAKE_PTR(stream)->spool;
}
