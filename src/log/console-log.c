/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/random.h>
#include <utlist.h>

#include "basic/log.h"
#include "console-log.h"
#include "console/console.h"
#include "log-sender.h"

/* How long to wait for vspc-logger when vspcd ends */
#define STOP_WAIT_USEC (2 * USEC_PER_SEC)
#define STOP_TURN_USEC (10 * USEC_PER_MSEC)

/* VMs that were forgotten with output that is not logged yet. At the limit the unlogged output of the oldest one is
 * dropped. */
#define GONE_MAX 1024U

/* The log's state of one console, from its first output on */
struct LoggedConsole {
        ConsoleLog *log;
        Console *console; /* NULL: the console was forgotten, and its ring is here */
        Ring ring;
        bool away; /* the VM is disconnected: free this once everything has been logged */
        LoggedConsole *prev, *next; /* in ConsoleLog.gone, if the console was forgotten */
        LogReader readers[_LOG_KIND_MAX];
};

struct ConsoleLog {
        Concentrator *concentrator;
        ConcentratorObserver observer;
        ConsoleLogSettings settings;
        LogSender *senders[_LOG_KIND_MAX]; /* NULL: not needed so far */
        uint64_t epoch;        /* random; epoch + number of a console is the epoch of its positions */
        RateLimit failures; /* to log output */
        LoggedConsole *gone;   /* utlist: records of forgotten consoles, the oldest first */
        unsigned n_gone;

        ConsoleLogHandler changed;
        void *userdata;
};

void console_log_settings_init(ConsoleLogSettings *s) {
        *s = (ConsoleLogSettings){.journal = true, .mode = 0600};
}

void console_log_settings_done(ConsoleLogSettings *s) {
        free(TAKE_PTR(s->prefix));
}

static bool is_wanted(const ConsoleLog *l, LogKind kind) {
        return l->senders[kind] && (kind == LOG_TO_JOURNAL ? l->settings.journal : l->settings.files);
}

/* Output that is not logged yet is dropped. */
static void record_free(LoggedConsole *record) {
        ConsoleLog *l = record->log;

        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                log_reader_done(&record->readers[kind]);

        if (record->console) {
                ring_hold(&record->console->ring, UINT64_MAX);
                record->console->logged = NULL;
        } else {
                ring_done(&record->ring);
                DL_DELETE(l->gone, record);
                l->n_gone--;
        }
        free(record);
}

static bool record_is_idle(const LoggedConsole *record) {
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                if (!log_reader_is_idle(&record->readers[kind]))
                        return false;

        return true;
}

/* Frees the record if it is not needed any more. Otherwise lets the ring keep what the reader furthest behind needs. */
static void record_update(LoggedConsole *record) {
        uint64_t held = UINT64_MAX;

        if (record->away && record_is_idle(record)) {
                record_free(record);
                return;
        }

        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                if (!log_reader_is_idle(&record->readers[kind]))
                        held = MIN(held, record->readers[kind].held);
        ring_hold(record->console ? &record->console->ring : &record->ring, held);
}

static LoggedConsole *record_of(LogReader *r, LogKind kind) {
        return container_of(r - kind, LoggedConsole, readers[0]);
}

static void on_journal_released(LogReader *r) {
        record_update(record_of(r, LOG_TO_JOURNAL));
}

static void on_files_released(LogReader *r) {
        record_update(record_of(r, LOG_TO_FILES));
}

static int record_new(ConsoleLog *l, Console *console) {
        LoggedConsole *record = calloc(1, sizeof(LoggedConsole));
        if (!record)
                return -ENOMEM;

        record->log = l;
        record->console = console;
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                if (l->senders[kind])
                        log_reader_init(&record->readers[kind], log_sender_backlog(l->senders[kind]), &console->ring);
        console->logged = record;
        return 0;
}

/* Ends the current streams: later output needs new ones. */
static void record_end(LoggedConsole *record) {
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                if (!log_reader_is_idle(&record->readers[kind])) {
                        log_reader_end(&record->readers[kind]);
                        log_sender_wake(record->log->senders[kind]);
                }
}

/* Whether the console's current name, port and service URI are those of the reader's current stream */
static bool reader_fits(const LogReader *r, const Console *c) {
        const LogOpen *open = log_reader_current(r);

        return open && open->port == c->port && streq(open->name, c->name) && streq(open->uri, c->uri);
}

static int reader_begin(ConsoleLog *l, LogReader *r, const Console *c, uint64_t position) {
        return log_reader_begin(r, position,
                                &(LogOpen){
                                        .epoch = l->epoch + c->record.number,
                                        .mode = l->settings.mode,
                                        .port = c->port,
                                        .name = c->name,
                                        .uuid = c->uuid_text,
                                        .uri = c->uri,
                                        .prefix = l->settings.prefix ?: "",
                                });
}

/* Logs the last @n bytes of the console's ring, if wanted, under the name that the VM has now. Returns: 0 or -ENOMEM. */
static int record_output(LoggedConsole *record, LogKind kind, size_t n) {
        LogReader *r = &record->readers[kind];
        const Console *c = record->console;
        int k = 0;

        if (is_wanted(record->log, kind)) {
                record->away = false;
                if (!reader_fits(r, c))
                        k = reader_begin(record->log, r, c, c->ring.end - n);
        }

        if (log_reader_is_idle(r))
                return k;
        if (log_reader_output(r))
                log_sender_wake_now(record->log->senders[kind]);
        else
                log_sender_wake(record->log->senders[kind]);
        return k;
}

static void on_output(ConcentratorObserver *observer, Console *console, _unused_ const uint8_t *data, size_t n) {
        ConsoleLog *l = container_of(observer, ConsoleLog, observer);
        int r = 0;

        if (!console->logged && (l->settings.journal || l->settings.files))
                r = record_new(l, console);
        for (LogKind kind = 0; kind < _LOG_KIND_MAX && console->logged; kind++)
                r = MIN(r, record_output(console->logged, kind, n));

        if (r < 0 && log_rate_limit_pass(&l->failures, concentrator_now(console->concentrator)) > 0)
                console_log(console, LOG_ERR, NULL, NULL, "%zu bytes of its output are not logged: no memory", n);
}

/* A disconnected VM needs no record: there may be thousands. Output after it reconnects makes a new one. */
static void on_disconnected(LoggedConsole *record) {
        record->away = true;
        record_end(record);
        record_update(record);
}

/* Keeps the ring with its unlogged output. `end` stays in the console: other observers still read it. */
static void on_removed(ConsoleLog *l, LoggedConsole *record) {
        Console *console = record->console;

        record->ring = TAKE(console->ring, (Ring){});
        console->ring.end = record->ring.end;
        ring_drop(&record->ring, record->ring.end);
        record->console = NULL;
        console->logged = NULL;
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                record->readers[kind].ring = &record->ring;
        DL_APPEND(l->gone, record);
        if (++l->n_gone > GONE_MAX)
                record_free(l->gone);
}

static void on_event(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                     _unused_ const Client *client) {
        ConsoleLog *l = container_of(observer, ConsoleLog, observer);

        if (console->logged && (event == CONSOLE_DISCONNECTED || event == CONSOLE_REMOVED))
                on_disconnected(console->logged);
        if (console->logged && event == CONSOLE_REMOVED)
                on_removed(l, console->logged);
}

static void on_sender_changed(void *userdata) {
        ConsoleLog *l = userdata;

        l->changed(l->userdata);
}

static void start_sender(ConsoleLog *l, LogKind kind) {
        static void (*const released[_LOG_KIND_MAX])(LogReader *) = {on_journal_released, on_files_released};

        if (l->senders[kind])
                return;

        int r = log_sender_new(concentrator_event(l->concentrator), kind, released[kind], on_sender_changed, l, &l->senders[kind]);
        if (r < 0) {
                log_error_errno(r, "Cannot log consoles to %s, going on without: %m",
                                kind == LOG_TO_JOURNAL ? "the journal" : "files");
                return;
        }

        /* Records from before get a reader for this sink too. */
        for (Console *c = concentrator_consoles(l->concentrator); c; c = c->handle.next)
                if (c->logged)
                        log_reader_init(&c->logged->readers[kind], log_sender_backlog(l->senders[kind]), &c->ring);
}

static void start_senders(ConsoleLog *l) {
        if (l->settings.journal)
                start_sender(l, LOG_TO_JOURNAL);
        if (l->settings.files)
                start_sender(l, LOG_TO_FILES);
}

int console_log_new(Concentrator *concentrator, ConsoleLogSettings *settings, ConsoleLogHandler changed, void *userdata,
                    ConsoleLog **ret) {
        ConsoleLog *l = calloc(1, sizeof(ConsoleLog));
        if (!l)
                return -ENOMEM;

        l->concentrator = concentrator;
        l->changed = changed;
        l->userdata = userdata;
        l->settings = TAKE(*settings, (ConsoleLogSettings){});
        if (getrandom(&l->epoch, sizeof l->epoch, 0) < 0)
                l->epoch = concentrator_now_realtime(concentrator);
        start_senders(l);

        l->observer.notify = on_event;
        l->observer.output = on_output;
        concentrator_observe(concentrator, &l->observer);

        *ret = l;
        return 0;
}

static void end_records(ConsoleLog *l) {
        for (Console *c = concentrator_consoles(l->concentrator); c; c = c->handle.next)
                if (c->logged)
                        record_end(c->logged);
}

/* The senders take turns, so that a blocked one does not keep the other from sending. */
static void drain(ConsoleLog *l) {
        usec_t now, deadline = now_monotonic() + STOP_WAIT_USEC;
        bool done = false;

        while (!done && (now = now_monotonic()) < deadline) {
                done = true;
                for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                        if (l->senders[kind] && !log_sender_drain(l->senders[kind], now + STOP_TURN_USEC))
                                done = false;
        }

        if (!done)
                log_warning("vspc-logger is blocked, the last output of consoles is not logged");
}

ConsoleLog *console_log_free(ConsoleLog *l) {
        concentrator_unobserve(l->concentrator, &l->observer);
        end_records(l);
        drain(l);

        for (Console *c = concentrator_consoles(l->concentrator); c; c = c->handle.next)
                if (c->logged)
                        record_free(c->logged);
        while (l->gone)
                record_free(l->gone);
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                log_sender_freep(&l->senders[kind]);

        console_log_settings_done(&l->settings);
        free(l);
        return NULL;
}

const char *console_log_problem(const ConsoleLog *l, int *ret_error) {
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                if (is_wanted(l, kind) && log_sender_error(l->senders[kind]) < 0) {
                        *ret_error = log_sender_error(l->senders[kind]);
                        return log_sender_is_unreachable(l->senders[kind]) ? "consoles cannot be logged"
                                                                           : "consoles cannot be logged to files";
                }

        return NULL;
}

static bool settings_equal(const ConsoleLogSettings *a, const ConsoleLogSettings *b) {
        return a->journal == b->journal && a->files == b->files && a->mode == b->mode &&
               streq(a->prefix ?: "", b->prefix ?: "");
}

void console_log_set_settings(ConsoleLog *l, ConsoleLogSettings *settings) {
        bool changed = !settings_equal(&l->settings, settings);

        console_log_settings_done(&l->settings);
        l->settings = TAKE(*settings, (ConsoleLogSettings){});
        if (changed) { /* new output gets streams with the new settings */
                end_records(l);
                start_senders(l);
        }
}
