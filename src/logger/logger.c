/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "basic/log.h"
#include "file-sink.h"
#include "journal-sink.h"
#include "logger.h"

/* How long to wait at the end for a journal or a disk that takes nothing */
#define STOP_WAIT_USEC (2 * USEC_PER_SEC)

struct Logger {
        int listen_fd;
        int ended_fd; /* eventfd: a connection has ended */
        sd_event_source *listen_source, *ended_source;

        /* Whoever holds its lock is served by it. */
        LogSink *sinks[_LOG_KIND_MAX]; /* NULL: there is none, for want of a folder */
        pthread_mutex_t locks[_LOG_KIND_MAX];

        pthread_mutex_t lock; /* for what follows */
        pthread_cond_t ended;
        unsigned n_connections;
};

typedef struct Connection {
        Logger *logger;
        int fd;
} Connection;

/* Returns: the sink that vspcd asks for. */
static int read_hello(int fd, LogKind *ret) {
        _cleanup_free_ LogMessage *m = calloc(1, sizeof(LogMessage));
        const uint8_t *data;
        LogRecord record;
        size_t offset = 0, n;

        if (!m)
                return -ENOMEM;

        int r = log_message_receive(m, fd, 0);
        if (r > 0)
                r = log_message_next(m, &offset, &record, &data, &n);
        if (r <= 0)
                return r == 0 ? -ECONNRESET : r;
        if (record.type != LOG_HELLO || offset != m->size || record.count >= _LOG_KIND_MAX)
                return -EBADMSG;
        if (record.value != LOG_CHANNEL_VERSION)
                return -EPROTONOSUPPORT;

        m->size = 0;
        (void) log_message_add(m, &(LogRecord){.type = LOG_HELLO, .value = LOG_CHANNEL_VERSION}, 0);
        *ret = (LogKind) record.count;
        return log_message_send(m, fd, 0);
}

static void serve(Logger *l, int fd) {
        LogKind kind;

        int r = read_hello(fd, &kind);
        if (r == -ECONNRESET) /* it did not want anything */
                return;
        if (r < 0) {
                log_error_errno(r, "Invalid message from vspcd, closing the connection: %m");
                return;
        }

        if (!l->sinks[kind]) {
                log_error("Files=yes has no effect: $LOGS_DIRECTORY is not set, which LogsDirectory=vspc in "
                          "vspc-logger.service does");
                return;
        }

        pthread_mutex_lock(&l->locks[kind]);
        log_sink_serve(l->sinks[kind], fd);
        pthread_mutex_unlock(&l->locks[kind]);
}

static void *run(void *userdata) {
        Connection *c = userdata;
        Logger *l = c->logger;

        serve(l, c->fd);
        safe_close(c->fd);
        free(c);

        pthread_mutex_lock(&l->lock);
        l->n_connections--;
        (void) eventfd_write(l->ended_fd, 1);
        pthread_cond_broadcast(&l->ended);
        pthread_mutex_unlock(&l->lock);
        return NULL;
}

static int start(Logger *l, int fd) {
        pthread_t thread;

        Connection *c = calloc(1, sizeof(Connection));
        if (!c) {
                safe_close(fd);
                return -ENOMEM;
        }

        *c = (Connection){l, fd};
        l->n_connections++;
        int r = pthread_create(&thread, NULL, run, c);
        if (r != 0) {
                l->n_connections--;
                safe_close(fd);
                free(c);
                return -r;
        }

        (void) pthread_detach(thread);
        return 0;
}

static int on_connect(sd_event_source *source, int listen_fd, _unused_ uint32_t events, void *userdata) {
        Logger *l = userdata;

        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                        log_warning_errno(errno, "Cannot take a connection: %m");
                return 0;
        }

        pthread_mutex_lock(&l->lock);
        int r = start(l, fd);
        if (l->n_connections >= LOGGER_CONNECTIONS_MAX)
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        pthread_mutex_unlock(&l->lock);

        if (r < 0)
                log_error_errno(r, "Cannot serve a connection: %m");
        return 0;
}

static int on_ended(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        Logger *l = userdata;
        eventfd_t ignored;

        (void) eventfd_read(fd, &ignored);
        (void) sd_event_source_set_enabled(l->listen_source, SD_EVENT_ON);
        return 0;
}

int logger_new(sd_event *loop, int fd, const char *folder, Logger **ret) {
        Logger *l = calloc(1, sizeof(Logger));
        if (!l) {
                safe_close(fd);
                return -ENOMEM;
        }

        l->listen_fd = fd;
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->ended, NULL);
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                pthread_mutex_init(&l->locks[kind], NULL);
        l->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        int r = l->ended_fd < 0 ? -errno : 0;
        if (r >= 0)
                r = journal_sink_new(&l->sinks[LOG_TO_JOURNAL]);
        if (r >= 0 && folder)
                r = file_sink_new(folder, &l->sinks[LOG_TO_FILES]);
        if (r >= 0)
                r = sd_event_add_io(loop, &l->ended_source, l->ended_fd, EPOLLIN, on_ended, l);
        if (r >= 0)
                r = sd_event_add_io(loop, &l->listen_source, fd, EPOLLIN, on_connect, l);
        if (r < 0) {
                logger_free(l);
                return r;
        }

        *ret = l;
        return 0;
}

/* Returns: whether all connections have ended. */
static bool wait_for_connections(Logger *l) {
        usec_t deadline = now_monotonic() + STOP_WAIT_USEC;
        struct timespec until = {
                .tv_sec = (time_t) (deadline / USEC_PER_SEC),
                .tv_nsec = (long) (deadline % USEC_PER_SEC) * 1000,
        };
        int r = 0;

        pthread_mutex_lock(&l->lock);
        while (l->n_connections > 0 && r == 0)
                r = pthread_cond_clockwait(&l->ended, &l->lock, CLOCK_MONOTONIC, &until);
        bool ended = l->n_connections == 0;
        pthread_mutex_unlock(&l->lock);

        return ended;
}

Logger *logger_free(Logger *l) {
        sd_event_source_disable_unref(l->listen_source);
        sd_event_source_disable_unref(l->ended_source);
        safe_close(l->listen_fd);

        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                if (l->sinks[kind])
                        log_sink_stop(l->sinks[kind]);
        if (!wait_for_connections(l)) {
                log_warning("The journal or the disk is blocked, exiting; the next vspc-logger continues from here");
                return l;
        }

        if (l->sinks[LOG_TO_JOURNAL])
                journal_sink_free(l->sinks[LOG_TO_JOURNAL]);
        if (l->sinks[LOG_TO_FILES])
                file_sink_free(l->sinks[LOG_TO_FILES]);
        safe_close(l->ended_fd);
        free(l);
        return NULL;
}

void logger_reopen(Logger *l) {
        if (l->sinks[LOG_TO_FILES])
                log_sink_reopen(l->sinks[LOG_TO_FILES]);
}
