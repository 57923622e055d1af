/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <utlist.h>

#include "basic/log.h"
#include "log-sink.h"

int log_sink_init(LogSink *s, const LogSinkType *type) {
        *s = (LogSink){.type = type, .fd = -1, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

        return s->wake_fd < 0 ? -errno : 0;
}

void log_sink_done(LogSink *s) {
        s->wake_fd = safe_close(s->wake_fd);
}

void log_sink_reopen(LogSink *s) {
        __atomic_store_n(&s->reopen, true, __ATOMIC_RELEASE);
        (void) eventfd_write(s->wake_fd, 1);
}

void log_sink_stop(LogSink *s) {
        __atomic_store_n(&s->stopping, true, __ATOMIC_RELEASE);
        (void) eventfd_write(s->wake_fd, 1);
}

/* Errors are ignored: if vspcd is gone, the next read says so. */
static void sink_send(LogSink *s) {
        if (s->out.size > 0 && log_message_send(&s->out, s->fd, 0) < 0)
                s->out.size = 0;
}

void log_sink_set_error(LogSink *s, int error) {
        const LogRecord record = {.type = LOG_ERROR, .value = (uint16_t) -error};

        if (s->error == error)
                return;

        s->error = error;
        (void) log_message_add(&s->out, &record, 0); /* `out` is empty here, so there is room */
        sink_send(s);
}

void log_sink_logged(LogSink *s, LogTarget *t, uint64_t position) {
        t->logged = position;
        if (!TAKE(t->is_news, true))
                DL_APPEND(s->news, t);
}

static void target_free(LogSink *s, LogTarget *t) {
        s->type->close(s, t);
        if (t->is_news)
                DL_DELETE(s->news, t);
        HASH_REMOVE(handle, s->targets, t);
        free(t->label);
        free(t);
}

void log_sink_acknowledge(LogSink *s) {
        for (LogTarget *t = s->news; t; t = s->news) {
                const LogRecord header = {
                        .type = t->ended ? LOG_CLOSED : LOG_ACK,
                        .stream = t->id,
                        .position = t->logged,
                        .count = MAX(t->position, t->logged),
                };

                if (log_message_add_ack(&s->out, &header, &t->place) < 0) {
                        sink_send(s);
                        continue;
                }

                DL_DELETE(s->news, t);
                t->is_news = false;
                if (t->ended)
                        target_free(s, t);
        }

        sink_send(s);
}

static LogTarget *find_target(LogSink *s, uint64_t id) {
        LogTarget *t;

        HASH_FIND(handle, s->targets, &id, sizeof id, t);
        return t;
}

static int sink_open(LogSink *s, const LogRecord *record, const uint8_t *data, size_t n) {
        LogOpen open;

        int r = log_open_parse(data, n, &open);
        if (r < 0)
                return r;
        if (find_target(s, record->stream) || HASH_CNT(handle, s->targets) >= LOG_TARGETS_MAX)
                return -EBADMSG;

        LogTarget *t = calloc(1, s->type->target_size);
        if (!t)
                return -ENOMEM;

        t->id = record->stream;
        t->position = t->logged = record->position;
        t->place = open.place;
        t->label = console_label_new(&open);
        if (!t->label || HASH_TRY_ADD(handle, s->targets, &t->id, sizeof t->id, t) < 0) {
                free(t->label);
                free(t);
                return -ENOMEM;
        }

        r = s->type->open(s, t, &open);
        if (r < 0)
                target_free(s, t);
        return r;
}

/* @n: bytes of data, or of a gap */
static int sink_write(LogSink *s, const LogRecord *record, const uint8_t *data, uint64_t n) {
        LogTarget *t = find_target(s, record->stream);

        if (!t || t->ended || record->position != t->position || n > UINT64_MAX - t->position)
                return -EBADMSG;

        if (record->type == LOG_DATA)
                s->type->write(s, t, data, (size_t) n);
        else
                s->type->gap(s, t, n);
        t->position += n;
        return 0;
}

static int sink_end(LogSink *s, const LogRecord *record) {
        LogTarget *t = find_target(s, record->stream);

        if (!t || t->ended || record->position != t->position)
                return -EBADMSG;

        s->type->end(s, t);
        t->ended = true;
        log_sink_logged(s, t, t->position);
        return 0;
}

/* Handles the records of the message in `in`. Returns: 0 or a negative errno. */
static int sink_take_message(LogSink *s) {
        const uint8_t *data;
        LogRecord record;
        size_t offset = 0, n;
        int r;

        while ((r = log_message_next(&s->in, &offset, &record, &data, &n)) > 0) {
                if (record.type == LOG_OPEN)
                        r = sink_open(s, &record, data, n);
                else if (record.type == LOG_DATA)
                        r = sink_write(s, &record, data, n);
                else if (record.type == LOG_GAP)
                        r = sink_write(s, &record, NULL, record.count);
                else if (record.type == LOG_CLOSE)
                        r = sink_end(s, &record);
                else
                        r = -EBADMSG;
                if (r < 0)
                        return r;
        }

        return r;
}

static bool is_asked(bool *what) {
        return __atomic_load_n(what, __ATOMIC_ACQUIRE);
}

/* Waits for a message. Returns: whether the socket is readable. */
static bool sink_wait(LogSink *s, usec_t deadline) {
        struct pollfd fds[] = {{.fd = s->fd, .events = POLLIN}, {.fd = s->wake_fd, .events = POLLIN}};
        usec_t now = now_monotonic();
        eventfd_t ignored;
        int timeout = -1;

        if (deadline != USEC_INFINITY)
                timeout = deadline > now ? (int) MIN((deadline - now) / USEC_PER_MSEC + 1, (usec_t) INT32_MAX) : 0;
        if (poll(fds, ELEMENTSOF(fds), timeout) < 0)
                return false;

        if (fds[1].revents)
                (void) eventfd_read(s->wake_fd, &ignored);
        return fds[0].revents;
}

static int sink_run(LogSink *s) {
        usec_t deadline = USEC_INFINITY;

        while (!is_asked(&s->stopping)) {
                bool readable = sink_wait(s, deadline);
                usec_t begun = now_monotonic();

                if (__atomic_exchange_n(&s->reopen, false, __ATOMIC_ACQUIRE))
                        s->type->reopen(s);
                if (readable && !is_asked(&s->stopping)) {
                        int r = log_message_receive(&s->in, s->fd, MSG_DONTWAIT);
                        if (r > 0)
                                r = sink_take_message(s);
                        else if (r == 0)
                                return 0;
                        if (r < 0 && r != -EAGAIN)
                                return r;
                }

                deadline = s->type->idle(s, begun, now_monotonic());
                log_sink_acknowledge(s);
        }

        return -ECANCELED;
}

void log_sink_serve(LogSink *s, int fd) {
        LogTarget *t, *next;
        int error = TAKE(s->error, 0);

        s->fd = fd;
        s->out.size = 0;
        log_sink_set_error(s, error);

        int r = sink_run(s);
        if (r < 0 && r != -ECANCELED && r != -ECONNRESET)
                log_error_errno(r, "Invalid message from vspcd, closing the connection: %m");

        HASH_ITER(handle, s->targets, t, next) {
                if (r == 0 || r == -ECONNRESET) /* vspcd has ended */
                        s->type->end(s, t);
                target_free(s, t);
        }

        s->fd = -1;
}
