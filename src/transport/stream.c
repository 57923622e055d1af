/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <linux/sock_diag.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "stream.h"

/* Records read before other connections have their turn: a record may be a single byte. */
#define TLS_READ_RECORDS_MAX 64U

/* The kernel's memory is measured each time the kernel has accepted so many bytes, and when it accepts no more. */
#define MEASURED_BYTES (128U * 1024U)

void wire_close(Wire *w) {
        w->tls = tls_session_free(w->tls);
        w->fd = safe_close(w->fd);
}

static uint32_t stream_events(const Stream *s) {
        if (s->stopped)
                return 0;

        uint32_t events = s->blocked ? EPOLLOUT : 0;

        if (s->reading)
                events |= EPOLLIN;
        else if (s->handler->hung_up && !s->hung_up)
                events |= EPOLLRDHUP;

        return events;
}

/* Data buffered in GnuTLS does not make the socket readable. */
static bool stream_is_ready(const Stream *s) {
        return s->tls && (s->ended || tls_session_unread(s->tls) > 0);
}

static int stream_update(Stream *s) {
        if (s->watch.fd < 0)
                return 0;

        if (s->reading && stream_is_ready(s))
                poller_defer(s->poller, &s->watch);

        return poller_watch(s->poller, &s->watch, stream_events(s));
}

static bool stream_tls_is_flushed(const Stream *s) {
        return !s->tls || s->broken || tls_session_unsent(s->tls) == 0;
}

bool stream_is_flushed(const Stream *s) {
        return s->out.size == 0 && s->watch.fd >= 0 && stream_tls_is_flushed(s);
}

/* The socket is writable again. Returns: whether it has accepted everything that TLS had left. */
static bool stream_unblock(Stream *s) {
        int r = stream_tls_is_flushed(s) ? 1 : tls_session_flush(s->tls);

        if (r < 0)
                s->broken = true;
        else if (r > 0 && s->shut)
                (void) shutdown(s->watch.fd, SHUT_WR);
        s->blocked = r == 0;
        if (!s->blocked) {
                s->kernel_size = 0;
                s->unmeasured = 0;
                s->progressed = true;
        }
        (void) stream_update(s);
        return !s->blocked;
}

static void stream_dispatch(Watch *w, uint32_t events) {
        Stream *s = container_of(w, Stream, watch);
        bool ended = events & (EPOLLHUP | EPOLLERR);

        /* The reader finds the end of the connection, after all data before it. Only one of the handlers is called, because
         * it may free the stream; the other one is called at the next event. */
        if (s->blocked && !(ended && s->reading) && (ended || (events & EPOLLOUT))) {
                if (stream_unblock(s) || ended)
                        s->handler->writable(s);
        } else if (s->reading)
                s->handler->readable(s);
        else if (s->handler->hung_up && !s->hung_up && (ended || (events & EPOLLRDHUP))) {
                s->hung_up = true;
                (void) stream_update(s);
                s->handler->hung_up(s);
        }
}

/* The previous owner may have left data in TLS to be flushed, and data that the peer has not acknowledged. */
static int stream_attach(Stream *s, Wire wire) {
        s->watch.fd = s->liveness.fd = wire.fd;
        s->tls = wire.tls;
        s->broken = wire.tls && !tls_session_is_open(wire.tls);
        s->ended = wire.ended || s->broken;
        s->blocked = !stream_tls_is_flushed(s);
        liveness_begin(&s->liveness);
        return stream_update(s);
}

int stream_open(Stream *s, Poller *poller, Wire wire, size_t out_max, const StreamHandler *handler) {
        *s = (Stream){
                .watch = {.handler = stream_dispatch},
                .poller = poller,
                .handler = handler,
                .liveness.queue = poller_liveness(poller),
                .out = BUFFER_INIT(out_max),
                .reading = true,
        };

        int r = stream_attach(s, wire);
        if (r < 0)
                stream_close(s);

        return r;
}

void stream_limit_stuck_peer(Stream *s, usec_t limit) {
        s->liveness.limit = limit;
}

void stream_reopen(Stream *s, Wire wire) {
        assert(s->watch.fd < 0);

        (void) stream_attach(s, wire);
}

Wire stream_release(Stream *s) {
        Wire wire = {.fd = -1};

        if (s->watch.fd < 0)
                return wire;

        liveness_stop(&s->liveness);
        poller_forget(s->poller, &s->watch);
        s->blocked = true;
        return (Wire){.fd = TAKE_FD(s->watch.fd), .tls = TAKE_PTR(s->tls), .ended = s->ended};
}

void stream_stop(Stream *s) {
        s->stopped = true;
        s->reading = false;
        if (s->watch.fd >= 0)
                poller_forget(s->poller, &s->watch);
}

void stream_close(Stream *s) {
        Wire wire = stream_release(s);

        if (wire.tls)
                tls_session_bye(wire.tls);
        wire_close(&wire);
        buffer_clear(&s->out);
        s->reading = false;
}

const char *stream_problem(const Stream *s) {
        return s->tls ? tls_session_problem(s->tls) : "";
}

/* The kernel's memory counts for MemoryMax= as ours does. */
void stream_measure(Stream *s) {
        uint32_t info[SK_MEMINFO_VARS] = {};
        socklen_t size = sizeof info;

        s->unmeasured = 0;
        (void) getsockopt(s->watch.fd, SOL_SOCKET, SO_MEMINFO, info, &size);
        s->kernel_size = (size_t) info[SK_MEMINFO_RMEM_ALLOC] +
                         MAX(info[SK_MEMINFO_WMEM_ALLOC], info[SK_MEMINFO_WMEM_QUEUED]);
}

size_t stream_waiting(const Stream *s) {
        return s->kernel_size + s->out.allocated;
}

bool stream_has_progressed(Stream *s) {
        return TAKE(s->progressed, false);
}

void stream_discard_on_close(Stream *s) {
        const struct linger reset = {.l_onoff = 1};

        (void) setsockopt(s->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

size_t stream_tls_size(const Stream *s) {
        return s->tls ? tls_session_size(s->tls) : 0;
}

ssize_t stream_peek(Stream *s, uint8_t *ret) {
        assert(!s->tls);

        ssize_t k = recv(s->watch.fd, ret, 1, MSG_PEEK);

        return k >= 0 ? k : -errno;
}

static ssize_t stream_read_tls(Stream *s, uint8_t *data, size_t n) {
        size_t size = 0;
        ssize_t k = 1;

        for (unsigned i = 0; i < TLS_READ_RECORDS_MAX && size < n && k > 0; i++) {
                k = tls_session_read(s->tls, data + size, n - size);
                size += (size_t) MAX(k, 0);
        }

        /* The owner learns of the end after these bytes. The kernel may report nothing more. */
        s->ended = k <= 0 && k != -EAGAIN;
        s->blocked = s->blocked || tls_session_unsent(s->tls) > 0;
        (void) stream_update(s);

        return size > 0 ? (ssize_t) size : k;
}

static ssize_t stream_read_plain(Stream *s, void *data, size_t n) {
        ssize_t k = recv(s->watch.fd, data, n, 0);

        return k >= 0 ? k : -errno;
}

ssize_t stream_read(Stream *s, void *data, size_t n) {
        if (s->watch.fd < 0)
                return -EAGAIN;

        ssize_t k = s->tls ? stream_read_tls(s, data, n) : stream_read_plain(s, data, n);

        return k <= 0 && k != -EAGAIN && s->liveness.ended ? -ETIMEDOUT : k;
}

bool stream_has_unread(const Stream *s) {
        int n = 0;

        return stream_is_ready(s) || (ioctl(s->watch.fd, FIONREAD, &n) >= 0 && n > 0);
}

bool stream_end_reading(Stream *s) {
        struct pollfd p = {.fd = s->watch.fd};

        s->reading = false;
        s->hung_up = true;
        (void) stream_update(s);

        return poll(&p, 1, 0) == 0;
}

void stream_pause(Stream *s) {
        s->reading = false;
        (void) stream_update(s);
}

void stream_resume(Stream *s) {
        /* If the socket cannot be watched now, the stream stays paused, and the next call tries again. */
        s->reading = true;
        if (stream_update(s) < 0)
                s->reading = false;
}

/* Both return: bytes accepted; -EAGAIN if none; or another negative errno. */
static ssize_t stream_send_plain(Stream *s, const struct iovec *iov, size_t n) {
        struct msghdr message = {.msg_iov = (struct iovec *) iov, .msg_iovlen = n};
        ssize_t k = sendmsg(s->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (k < 0 && (errno == ENOBUFS || errno == ENOMEM))
                return -EAGAIN;

        return k >= 0 ? k : -errno;
}

static ssize_t stream_send_tls(Stream *s, const struct iovec *iov, size_t n) {
        size_t sent = 0;

        for (size_t i = 0; i < n; i++)
                for (size_t done = 0; done < iov[i].iov_len;) {
                        ssize_t k = tls_session_write(s->tls, (const uint8_t *) iov[i].iov_base + done,
                                                      iov[i].iov_len - done);
                        if (k < 0)
                                return sent > 0 && k == -EAGAIN ? (ssize_t) sent : k;

                        done += (size_t) k;
                        sent += (size_t) k;
                }

        return (ssize_t) sent;
}

size_t iov_size(const struct iovec *iov, size_t n) {
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += iov[i].iov_len;

        return size;
}

ssize_t stream_send(Stream *s, const struct iovec *iov, size_t n) {
        size_t total = iov_size(iov, n);

        assert(s->out.size == 0);
        if (s->broken)
                return (ssize_t) total;
        if (s->watch.fd < 0) /* already blocked */
                return 0;

        ssize_t k = s->tls ? stream_send_tls(s, iov, n) : stream_send_plain(s, iov, n);
        if (k < 0 && k != -EAGAIN) {
                s->broken = true;
                return (ssize_t) total;
        }

        k = MAX(k, 0);
        liveness_begin(&s->liveness);
        s->unmeasured += (size_t) k;
        s->progressed = s->progressed || s->unmeasured >= MEASURED_BYTES;
        if (s->unmeasured >= MEASURED_BYTES || ((size_t) k < total && s->kernel_size == 0))
                stream_measure(s);

        if ((size_t) k < total || !stream_tls_is_flushed(s)) {
                s->blocked = true;
                int r = stream_update(s);
                if (r < 0)
                        return r;
        }

        return k;
}

int stream_flush(Stream *s) {
        if (s->out.size == 0)
                return stream_is_flushed(s);
        if (s->blocked)
                return 0;

        /* stream_send() needs an empty queue */
        Buffer out = TAKE(s->out, BUFFER_INIT(s->out.max));
        ssize_t k = stream_send(s, &(struct iovec){(void *) buffer_data(&out), out.size}, 1);
        s->out = out;
        if (k < 0)
                return (int) k;

        buffer_consume(&s->out, (size_t) k);
        return stream_is_flushed(s);
}

void stream_yield(Stream *s) {
        s->blocked = true;
        (void) stream_update(s);
}

int stream_shutdown(Stream *s) {
        if (s->shut)
                return 0;

        s->shut = true;
        if (s->tls)
                tls_session_bye(s->tls);
        if (!stream_tls_is_flushed(s)) { /* stream_unblock() continues */
                s->blocked = true;
                return stream_update(s);
        }

        return shutdown(s->watch.fd, SHUT_WR) < 0 ? -errno : 0;
}
