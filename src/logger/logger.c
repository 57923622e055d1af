/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "basic/log.h"
#include "basic/worker.h"
#include "file-sink.h"
#include "journal-sink.h"
#include "logger.h"

/* How long to wait at the end for a blocked journal or disk */
#define STOP_WAIT_USEC (2 * USEC_PER_SEC)

static_assert(LOGGER_CONNECTIONS_MAX <= WORKER_THREADS_MAX, "each connection has a thread");

struct Logger {
        int listen_fd;
        int stop_fd; /* eventfd: wakes threads that wait for a connection when the logger stops */
        Worker worker;

        /* A connection is served by a sink while its thread holds the sink's lock. */
        LogSink *sinks[_LOG_KIND_MAX]; /* NULL: there is no folder for files */
        pthread_mutex_t locks[_LOG_KIND_MAX];
};

/* *ret: the sink that vspcd asks for */
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
        if (r == -ECONNRESET) /* vspcd has closed the connection */
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

/* Returns: a connection; -EAGAIN if another thread has taken it, or the logger stops; or another negative errno. */
static int wait_for_connection(const Logger *l) {
        struct pollfd fds[] = {{.fd = l->listen_fd, .events = POLLIN}, {.fd = l->stop_fd, .events = POLLIN}};

        if (poll(fds, ELEMENTSOF(fds), -1) < 0)
                return -errno;
        if (fds[1].revents)
                return -EAGAIN;

        int fd = accept4(l->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static void run(void *userdata) {
        Logger *l = userdata;

        while (!l->worker.stopping) {
                worker_unlock(&l->worker);
                int fd = wait_for_connection(l);
                if (fd >= 0)
                        serve(l, fd);
                else if (fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED)
                        log_warning_errno(fd, "Cannot take a connection: %m");
                safe_close(fd);
                worker_lock(&l->worker);
        }
}

int logger_new(int fd, const char *folder, Logger **ret) {
        Logger *l = calloc(1, sizeof(Logger));
        if (!l) {
                safe_close(fd);
                return -ENOMEM;
        }

        l->worker = WORKER_INIT;
        l->listen_fd = fd;
        l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                pthread_mutex_init(&l->locks[kind], NULL);

        int r = l->stop_fd < 0 ? -errno : 0;
        if (r >= 0)
                r = journal_sink_new(&l->sinks[LOG_TO_JOURNAL]);
        if (r >= 0 && folder)
                r = file_sink_new(folder, &l->sinks[LOG_TO_FILES]);
        for (unsigned i = 0; r >= 0 && i < LOGGER_CONNECTIONS_MAX; i++)
                r = worker_start(&l->worker, "logger", run, l);
        if (r < 0) {
                logger_free(l);
                return r;
        }

        *ret = l;
        return 0;
}

Logger *logger_free(Logger *l) {
        (void) eventfd_write(l->stop_fd, 1);
        for (LogKind kind = 0; kind < _LOG_KIND_MAX; kind++)
                if (l->sinks[kind])
                        log_sink_stop(l->sinks[kind]);
        if (!worker_stop(&l->worker, STOP_WAIT_USEC, NULL)) {
                log_warning("The journal or the disk is blocked, exiting; the next vspc-logger continues from here");
                return NULL;
        }

        if (l->sinks[LOG_TO_JOURNAL])
                journal_sink_free(l->sinks[LOG_TO_JOURNAL]);
        if (l->sinks[LOG_TO_FILES])
                file_sink_free(l->sinks[LOG_TO_FILES]);
        worker_done(&l->worker);
        safe_close(l->stop_fd);
        safe_close(l->listen_fd);
        free(l);
        return NULL;
}

void logger_reopen(Logger *l) {
        if (l->sinks[LOG_TO_FILES])
                log_sink_reopen(l->sinks[LOG_TO_FILES]);
}
