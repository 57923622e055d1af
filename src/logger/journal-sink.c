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

/* Memory of unfinished lines of all VMs together. At the limit, the line that has waited longest is logged as it is. */
#define PARTIAL_LINES_MAX (16U * 1024U * 1024U)

/* SYSLOG_IDENTIFIER=, VSPC_POSITION=, MESSAGE=, PRIORITY=, MESSAGE_ID=, and the fields of the label */
#define ENTRY_FIELDS_MAX (5U + CONSOLE_LABEL_FIELDS)

/* If journald blocks us for so long, VMs may seem silent because their output waits to be read. */
#define KEPT_USEC (JOURNAL_SINK_SILENCE_USEC / 4)

#define FIELD(literal) ((struct iovec){(char *) (literal), sizeof(literal) - 1})

typedef struct JournalTarget {
        LogTarget target;
        LineSplitter splitter;
        struct JournalTarget *prev, *next; /* in JournalSink.partial, if it has a partial line */
        size_t partial_size;               /* bytes of memory of the partial line; 0: none */
        usec_t heard;                      /* when the VM last wrote to it */
        uint64_t n_missing;                /* bytes that could not be logged since the last entry */
        uint64_t missing;                  /* the position of the first of these */
} JournalTarget;

typedef struct JournalSink {
        LogSink sink;
        JournalTarget *partial; /* utlist, the one with the longest silence first */
        size_t n_partial;       /* bytes of memory, at most PARTIAL_LINES_MAX */
        usec_t kept;            /* when journald last blocked us for KEPT_USEC */
        uint64_t n_unlogged;    /* bytes that came while there was no journal */
        bool missing;           /* there is no journal; this has been logged */
} JournalSink;

static int journal_send(const ConsoleLabel *label, uint64_t position, const struct iovec *field, size_t n) {
        char text[sizeof("VSPC_POSITION=18446744073709551615")];
        int size = snprintf(text, sizeof text, "VSPC_POSITION=%" PRIu64, position);
        struct iovec entry[ENTRY_FIELDS_MAX] = {
                FIELD("SYSLOG_IDENTIFIER=" JOURNAL_SINK_IDENTIFIER), /* the first: see console-label.c */
                {text, (size_t) size},
        };

        assert(2 + n + label->n_fields <= ELEMENTSOF(entry));
        memcpy(entry + 2, field, n * sizeof *field);
        memcpy(entry + 2 + n, label->field, label->n_fields * sizeof *field);
        return sd_journal_sendv(entry, (int) (2 + n + label->n_fields));
}

static int send_gap(const JournalTarget *t) {
        char message[128];

        int size = snprintf(message, sizeof message,
                            "MESSAGE=%" PRIu64 " bytes of console output were not logged", t->n_missing);
        return journal_send(t->target.label, t->missing,
                            (const struct iovec[]){
                                    {message, (size_t) size},
                                    FIELD("PRIORITY=4"),
                                    FIELD("MESSAGE_ID=" VSPC_MESSAGE_OUTPUT_NOT_LOGGED),
                            },
                            3);
}

static void add_missing(JournalTarget *t, uint64_t position, uint64_t n) {
        if (t->n_missing == 0)
                t->missing = position;
        t->n_missing += n;
}

/* To be called before logging anything after the gap. Returns: whether no gap is left to report. */
static bool report_missing(JournalTarget *t) {
        if (t->n_missing > 0 && send_gap(t) >= 0)
                t->n_missing = 0;

        return t->n_missing == 0;
}

static void on_line(const char *text, size_t n, int priority, void *userdata) {
        static const char prefix[] = "MESSAGE=";
        static const char *const priorities[] = {"PRIORITY=0", "PRIORITY=1", "PRIORITY=2", "PRIORITY=3",
                                                 "PRIORITY=4", "PRIORITY=5", "PRIORITY=6", "PRIORITY=7"};
        JournalTarget *t = userdata;
        char message[sizeof prefix + LINE_MAX_SIZE];

        memcpy(mempcpy(message, prefix, strlen(prefix)), text, n);
        if (!report_missing(t) ||
            journal_send(t->target.label, t->splitter.line,
                         (const struct iovec[]){
                                 {message, strlen(prefix) + n},
                                 {(char *) priorities[priority], strlen(priorities[priority])},
                         },
                         2) < 0)
                add_missing(t, t->splitter.line, n);
}

/* Counts the partial line again. To be called after each change to it. */
static void update_partial(JournalSink *s, JournalTarget *t, usec_t now) {
        if (t->partial_size > 0) {
                DL_DELETE(s->partial, t);
                s->n_partial -= TAKE(t->partial_size, 0);
        }

        log_sink_logged(&s->sink, &t->target, line_splitter_resume(&t->splitter));
        if (line_splitter_is_empty(&t->splitter)) {
                line_splitter_clear(&t->splitter);
                return;
        }

        t->heard = now;
        t->partial_size = t->splitter.n_allocated * sizeof *t->splitter.cell;
        s->n_partial += t->partial_size;
        DL_APPEND(s->partial, t);
}

static void end_partial(JournalSink *s, JournalTarget *t) {
        line_splitter_flush(&t->splitter, on_line, t);
        update_partial(s, t, 0);
}

/* Without a journal sd_journal_sendv() succeeds; with one that does not answer, it fails. Returns: whether there is a
 * journal. */
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

static int journal_open(_unused_ LogSink *sink, LogTarget *target, _unused_ const LogOpen *open) {
        line_splitter_skip(&container_of(target, JournalTarget, target)->splitter, target->position);
        return 0;
}

static void journal_skip(JournalSink *s, JournalTarget *t, uint64_t n) {
        line_splitter_skip(&t->splitter, n);
        update_partial(s, t, 0);
}

static void journal_write(LogSink *sink, LogTarget *target, const uint8_t *data, size_t n) {
        JournalSink *s = container_of(sink, JournalSink, sink);
        JournalTarget *t = container_of(target, JournalTarget, target);

        if (!check_journal(s, n)) {
                end_partial(s, t);
                journal_skip(s, t, n);
                return;
        }

        line_splitter_feed(&t->splitter, data, n, on_line, t);
        update_partial(s, t, now_monotonic());

        while (s->n_partial > PARTIAL_LINES_MAX)
                end_partial(s, s->partial);
}

static void journal_gap(LogSink *sink, LogTarget *target, uint64_t n) {
        JournalSink *s = container_of(sink, JournalSink, sink);
        JournalTarget *t = container_of(target, JournalTarget, target);

        end_partial(s, t);
        if (check_journal(s, n)) {
                add_missing(t, target->position, n);
                (void) report_missing(t);
        }
        journal_skip(s, t, n);
}

static void journal_end(LogSink *sink, LogTarget *target) {
        JournalTarget *t = container_of(target, JournalTarget, target);

        end_partial(container_of(sink, JournalSink, sink), t);
        (void) report_missing(t);
}

static void journal_close(LogSink *sink, LogTarget *target) {
        JournalTarget *t = container_of(target, JournalTarget, target);

        line_splitter_clear(&t->splitter);
        update_partial(container_of(sink, JournalSink, sink), t, 0);
        if (t->n_missing > 0)
                console_label_log_gap(target->label, t->n_missing, "the journal");
}

static usec_t journal_idle(LogSink *sink, usec_t begun, usec_t now) {
        JournalSink *s = container_of(sink, JournalSink, sink);
        JournalTarget *t, *next;

        if (now - begun >= KEPT_USEC)
                s->kept = now;

        DL_FOREACH_SAFE(s->partial, t, next) {
                usec_t until = MAX(t->heard, s->kept) + JOURNAL_SINK_SILENCE_USEC;

                if (now < until)
                        return until;
                end_partial(s, t);
        }

        return USEC_INFINITY;
}

static void journal_reopen(_unused_ LogSink *sink) {
}

int journal_sink_new(LogSink **ret) {
        static const LogSinkType type = {sizeof(JournalTarget), journal_open, journal_write, journal_gap, journal_end,
                                         journal_close, journal_idle, journal_reopen};

        _cleanup_free_ JournalSink *s = calloc(1, sizeof(JournalSink));
        if (!s)
                return -ENOMEM;

        int r = log_sink_init(&s->sink, &type);
        if (r < 0)
                return r;

        *ret = &TAKE_PTR(s)->sink;
        return 0;
}

LogSink *journal_sink_free(LogSink *s) {
        log_sink_done(s);
        free(container_of(s, JournalSink, sink));
        return NULL;
}
