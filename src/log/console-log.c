/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/eventfd.h>

#include "basic/log.h"
#include "console-log.h"
#include "file-sink.h"
#include "journal-sink.h"

/* How long to wait at the end for a journal or a disk that takes nothing. */
#define STOP_WAIT_USEC (2 * USEC_PER_SEC)

/* What a console that has said something has here. */
struct LoggedConsole {
        ConsoleLabel *label;
        SpoolStream *journal, *file; /* NULL: not logged to it */
};

struct ConsoleLog {
        Concentrator *concentrator;
        ConcentratorObserver observer;
        ConsoleLogSettings settings;
        JournalSink *journal; /* NULL: never wanted so far */
        FileSink *files;
        RateLimit failures; /* to log what VMs say */

        ConsoleLogHandler changed;
        void *userdata;
        sd_event_source *news; /* of the files' errors */
};

void console_log_settings_init(ConsoleLogSettings *s) {
        *s = (ConsoleLogSettings){.journal = true, .mode = 0600};
}

void console_log_settings_done(ConsoleLogSettings *s) {
        free(TAKE_PTR(s->prefix));
}

static void record_free(ConsoleLog *l, Console *console) {
        LoggedConsole *record = TAKE_PTR(console->logged);

        if (!record)
                return;

        if (record->journal)
                spool_end(journal_sink_spool(l->journal), record->journal);
        if (record->file)
                spool_end(file_sink_spool(l->files), record->file);
        console_label_unrefp(&record->label);
        free(record);
}

static int record_new(ConsoleLog *l, Console *console) {
        const ConsoleLogSettings *settings = &l->settings;
        bool journal = settings->journal && l->journal, files = settings->files && l->files;

        LoggedConsole *record = calloc(1, sizeof(LoggedConsole));
        if (!record)
                return -ENOMEM;

        console->logged = record;
        record->label = console_label_new(console);
        if (record->label && journal)
                record->journal = journal_sink_open(l->journal, record->label);
        if (record->label && files)
                record->file = file_sink_open(l->files, record->label, settings->prefix, settings->mode);

        if (record->label && (record->journal || !journal) && (record->file || !files))
                return 0;

        record_free(l, console);
        return -ENOMEM;
}

/* It is under the name that the VM has now that what it says now is logged. */
static const LoggedConsole *record_of(ConsoleLog *l, Console *console) {
        const LoggedConsole *record = console->logged;

        if (record && console_label_fits(record->label, console))
                return record;

        record_free(l, console);
        return record_new(l, console) >= 0 ? console->logged : NULL;
}

static void on_output(ConcentratorObserver *observer, Console *console, const uint8_t *data, size_t n) {
        ConsoleLog *l = container_of(observer, ConsoleLog, observer);

        if (!l->settings.journal && !l->settings.files)
                return;

        const LoggedConsole *record = record_of(l, console);
        if (!record) {
                if (log_rate_limit_pass(&l->failures, concentrator_now(console->concentrator)) > 0)
                        console_log(console, LOG_ERR, NULL, NULL,
                                    "no memory to log its output, %zu bytes are not logged", n);
                return;
        }

        if (record->journal)
                spool_put(journal_sink_spool(l->journal), record->journal, data, n);
        if (record->file)
                spool_put(file_sink_spool(l->files), record->file, data, n);
}

static void on_event(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                     _unused_ const Client *client) {
        /* Of VMs that are gone there may be thousands; what one says when it is back makes a new one. */
        if (event == CONSOLE_DISCONNECTED || event == CONSOLE_REMOVED)
                record_free(container_of(observer, ConsoleLog, observer), console);
}

/* $LOGS_DIRECTORY may be several, separated by colons (systemd.exec(5)). */
static char *logs_folder(void) {
        const char *folders = getenv("LOGS_DIRECTORY");

        return folders && *folders ? strndup(folders, strcspn(folders, ":")) : NULL;
}

static void start_journal(ConsoleLog *l) {
        if (l->journal)
                return;

        int r = journal_sink_new(&l->journal);
        if (r < 0)
                log_error_errno(r, "Cannot log consoles to the journal, going on without: %m");
}

static int on_news(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, void *userdata) {
        ConsoleLog *l = userdata;
        eventfd_t ignored;

        (void) eventfd_read(fd, &ignored);
        l->changed(l->userdata);
        return 0;
}

static void start_files(ConsoleLog *l) {
        if (l->files)
                return;

        _cleanup_free_ char *folder = logs_folder();
        if (!folder) {
                log_error("Files=yes has no effect: $LOGS_DIRECTORY is not set, which LogsDirectory=vspc in "
                          "vspc.service does");
                return;
        }

        int r = file_sink_new(folder, &l->files);
        if (r < 0) {
                log_error_errno(r, "Cannot log consoles to files in %s, going on without: %m", folder);
                return;
        }

        r = sd_event_add_io(concentrator_event(l->concentrator), &l->news, file_sink_news_fd(l->files), EPOLLIN, on_news, l);
        if (r < 0)
                log_warning_errno(r, "The service's status will not say if consoles cannot be logged to files: %m");
}

static void start_sinks(ConsoleLog *l) {
        if (l->settings.journal)
                start_journal(l);
        if (l->settings.files)
                start_files(l);
}

static void free_records(ConsoleLog *l) {
        for (Console *c = concentrator_consoles(l->concentrator); c; c = c->handle.next)
                record_free(l, c);
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
        start_sinks(l);

        l->observer.notify = on_event;
        l->observer.output = on_output;
        concentrator_observe(concentrator, &l->observer);

        *ret = l;
        return 0;
}

ConsoleLog *console_log_free(ConsoleLog *l) {
        usec_t deadline = now_monotonic() + STOP_WAIT_USEC;

        concentrator_unobserve(l->concentrator, &l->observer);
        sd_event_source_disable_unref(l->news);
        free_records(l);

        if (l->journal)
                journal_sink_stop(l->journal);
        if (l->files)
                file_sink_stop(l->files);
        if (l->journal)
                journal_sink_free(l->journal, deadline);
        if (l->files)
                file_sink_free(l->files, deadline);

        console_log_settings_done(&l->settings);
        free(l);
        return NULL;
}

int console_log_error(const ConsoleLog *l) {
        return l->settings.files && l->files ? file_sink_error(l->files) : 0;
}

static bool settings_equal(const ConsoleLogSettings *a, const ConsoleLogSettings *b) {
        return a->journal == b->journal && a->files == b->files && a->mode == b->mode &&
               streq(a->prefix ?: "", b->prefix ?: "");
}

void console_log_set_settings(ConsoleLog *l, ConsoleLogSettings *settings) {
        bool changed = !settings_equal(&l->settings, settings);

        console_log_settings_done(&l->settings);
        l->settings = TAKE(*settings, (ConsoleLogSettings){});
        if (changed) { /* consoles get their records anew with what they say next */
                free_records(l);
                start_sinks(l);
        }
}

void console_log_reopen(ConsoleLog *l) {
        if (l->files)
                file_sink_reopen(l->files);
}
