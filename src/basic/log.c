/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <utlist.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "log.h"
#include "text.h"
#include "worker.h"

/* A thread that hangs longer than this in a write ends with the process. */
#define LOG_STOP_WAIT_USEC (2 * USEC_PER_SEC)

/* After each batch the thread pauses. So in a storm of messages it wakes up two hundred times a second, not for each
 * message, and takes less time from the event loop. */
#define LOG_REST_NSEC (5 * 1000 * 1000)

/* MESSAGE=, PRIORITY=, SYSLOG_IDENTIFIER=, MESSAGE_ID=, and fields of the caller */
#define ENTRY_FIELDS_MAX (4U + LOG_FIELDS_MAX)

typedef struct LogEntry {
        struct LogEntry *prev, *next;
        struct iovec field[ENTRY_FIELDS_MAX]; /* "NAME=value"; field[0] is the message */
        size_t n_fields;
        char text[]; /* memory of the fields */
} LogEntry;

static struct {
        const char *identifier;
        int max_level;
        bool journal;  /* stderr is connected to the journal */
        bool lines;    /* write lines even so */

        Worker worker;
        bool waiting; /* the thread sleeps until something is queued */
        LogEntry *queue;
        size_t n_queued;
        uint64_t n_dropped;
} logger = {
        .identifier = "vspc",
        .max_level = LOG_INFO,
        .worker = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER},
};

/* systemd names the stream it connected stderr to in $JOURNAL_STREAM as device:inode (systemd.exec(5)). */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) >= 0 &&
               st.st_dev == (dev_t) device && st.st_ino == (ino_t) inode;
}

void log_open(const char *identifier) {
        logger.identifier = identifier;
        logger.journal = stderr_is_journal();
}

bool log_is_wanted(int level) {
        return (level & LOG_PRIMASK) <= logger.max_level;
}

void log_use_lines(void) {
        logger.lines = true;
}

void log_set_max_level(int level) {
        logger.max_level = level;
}

static void entry_add(LogEntry *e, char **text, const char *name, const char *value) {
        char *end = stpcpy(stpcpy(*text, name), value);

        e->field[e->n_fields++] = (struct iovec){*text, (size_t) (end - *text)};
        *text = end + 1;
}

static LogEntry *entry_new(int level, const char *message, const LogFields *fields) {
        static const LogFields none = {};
        const char *priority = (const char[]){'0' + (level & LOG_PRIMASK), 0};

        if (!fields)
                fields = &none;

        size_t n_extra = MIN(fields->n_fields, (size_t) LOG_FIELDS_MAX), size = 0;
        for (size_t i = 0; i < n_extra; i++)
                size += strlen(fields->field[i].name) + strlen(fields->field[i].value) + 1;

        size += strlen("MESSAGE=") + strlen(message) + 1 + strlen("PRIORITY=") + 2 +
                strlen("SYSLOG_IDENTIFIER=") + strlen(logger.identifier) + 1;
        if (fields->message_id)
                size += strlen("MESSAGE_ID=") + strlen(fields->message_id) + 1;

        LogEntry *e = malloc(sizeof(LogEntry) + size);
        if (!e)
                return NULL;

        char *text = e->text;
        e->n_fields = 0;
        entry_add(e, &text, "MESSAGE=", message);
        entry_add(e, &text, "PRIORITY=", priority);
        entry_add(e, &text, "SYSLOG_IDENTIFIER=", logger.identifier);
        if (fields->message_id)
                entry_add(e, &text, "MESSAGE_ID=", fields->message_id);
        for (size_t i = 0; i < n_extra; i++)
                entry_add(e, &text, fields->field[i].name, fields->field[i].value);

        return e;
}

/* Lines for stderr, written together for each batch. stdio is not used: a thread that hangs in a write would hold its
 * lock, which exit() needs. */
typedef struct Lines {
        char text[8192];
        size_t size;
} Lines;

static void lines_flush(Lines *lines) {
        for (size_t written = 0; written < lines->size;) {
                ssize_t k = write(STDERR_FILENO, lines->text + written, lines->size - written);
                if (k < 0 && errno != EINTR)
                        break;
                written += (size_t) MAX(k, 0);
        }

        lines->size = 0;
}

/* Only this and lines_flush() may block. */
static void entry_emit(const LogEntry *e, Lines *lines) {
        const char *message = (const char *) e->field[0].iov_base + strlen("MESSAGE=");
        char line[64 + LOG_MESSAGE_MAX];
        int n;

        if (logger.journal && !logger.lines && sd_journal_sendv(e->field, (int) e->n_fields) >= 0)
                return;

        if (logger.journal) /* SyslogLevelPrefix= of systemd.exec(5) */
                n = snprintf(line, sizeof line, "<%s>%s\n", (const char *) e->field[1].iov_base + strlen("PRIORITY="), message);
        else
                n = snprintf(line, sizeof line, "%s: %s\n", logger.identifier, message);
        size_t size = MIN((size_t) n, sizeof line - 1);

        if (size > sizeof lines->text - lines->size)
                lines_flush(lines);
        memcpy(lines->text + lines->size, line, size);
        lines->size += size;
}

static void report_dropped(uint64_t n, Lines *lines) {
        char message[128];

        snprintf(message, sizeof message,
                 "%llu log messages dropped: they came faster than they could be written", (unsigned long long) n);

        LogEntry *e = entry_new(LOG_WARNING, message, NULL);
        if (e)
                entry_emit(e, lines);
        free(e);
}

static void emit_batch(LogEntry *batch, uint64_t n_dropped) {
        static Lines lines;
        LogEntry *e, *next;

        DL_FOREACH_SAFE(batch, e, next) {
                entry_emit(e, &lines);
                free(e);
        }

        if (n_dropped > 0)
                report_dropped(n_dropped, &lines);

        lines_flush(&lines);
}

static void run(_unused_ void *userdata) {
        for (;;) {
                while (!logger.queue && !logger.worker.stopping) {
                        logger.waiting = true;
                        (void) worker_wait_until(&logger.worker, USEC_INFINITY);
                }
                logger.waiting = false;

                LogEntry *batch = TAKE_PTR(logger.queue);
                uint64_t n_dropped = TAKE(logger.n_dropped, 0);
                bool stopping = logger.worker.stopping;

                if (!batch && n_dropped == 0)
                        break;

                /* These entries count as queued until they are written, because the limit is one of memory. */
                size_t n_batch = logger.n_queued;
                worker_unlock(&logger.worker);
                emit_batch(batch, n_dropped);
                if (!stopping)
                        nanosleep(&(struct timespec){.tv_nsec = LOG_REST_NSEC}, NULL);
                worker_lock(&logger.worker);
                logger.n_queued -= n_batch;
        }
}

int log_start_worker(void) {
        return worker_start(&logger.worker, "log", run, NULL);
}

void log_stop_worker(void) {
        (void) worker_stop(&logger.worker, LOG_STOP_WAIT_USEC, NULL);
}

/* Passes @e to the thread, if there is one. Returns: whether @e was taken, or dropped because the queue is full. */
static bool worker_take(LogEntry *e) {
        worker_lock(&logger.worker);

        bool running = logger.worker.n_running > 0;
        if (running && logger.n_queued >= LOG_QUEUE_ENTRIES_MAX) {
                logger.n_dropped++;
                free(e);
        } else if (running) {
                DL_APPEND(logger.queue, e);
                logger.n_queued++;
                if (TAKE(logger.waiting, false))
                        worker_wake(&logger.worker);
        }

        worker_unlock(&logger.worker);
        return running;
}

static void emit_now(LogEntry *e) {
        Lines lines = {};

        entry_emit(e, &lines);
        lines_flush(&lines);
        free(e);
}

int log_full(int level, int error, const LogFields *fields, const char *format, ...) {
        char message[LOG_MESSAGE_MAX];
        int saved_errno = errno;
        va_list ap;

        if (error < 0)
                error = -error;
        if (level > logger.max_level)
                return -error;

        errno = error;
        va_start(ap, format);
        int n = vsnprintf(message, sizeof message, format, ap);
        va_end(ap);
        if (n >= (int) sizeof message)
                message[text_cut(message, sizeof message - 1)] = 0;

        LogEntry *e = entry_new(level, message, fields);
        if (e && !worker_take(e))
                emit_now(e);

        errno = saved_errno;
        return -error;
}
