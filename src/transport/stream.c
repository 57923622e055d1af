/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/ioctl.h>
#include <sys/socket.h>

#include "stream.h"

static int stream_update(Stream *s) {
        uint32_t events = s->blocked ? EPOLLOUT : 0;

        if (s->reading)
                events |= EPOLLIN;
        else if (s->handler->hung_up && !s->hung_up)
                events |= EPOLLRDHUP;

        return poller_watch(s->poller, &s->watch, events);
}

static void stream_dispatch(Watch *w, uint32_t events) {
        Stream *s = container_of(w, Stream, watch);
        bool ended = events & (EPOLLHUP | EPOLLERR);

        /* An end is for the reader to find, after all that came before it. Only one of the two is called, since
         * it may free us; the other's turn comes with the next event. */
        if (s->blocked && !(ended && s->reading) && (ended || (events & EPOLLOUT))) {
                s->blocked = false;
                (void) stream_update(s);
                s->handler->writable(s);
        } else if (s->reading)
                s->handler->readable(s);
        else if (s->handler->hung_up && !s->hung_up && (ended || (events & EPOLLRDHUP))) {
                s->hung_up = true;
                (void) stream_update(s);
                s->handler->hung_up(s);
        }
}

int stream_open(Stream *s, Poller *poller, int fd, size_t out_max, const StreamHandler *handler) {
        *s = (Stream){
                .watch = {.fd = fd, .handler = stream_dispatch},
                .poller = poller,
                .handler = handler,
                .out = BUFFER_INIT(out_max),
                .reading = true,
        };

        int r = stream_update(s);
        if (r < 0)
                s->watch.fd = safe_close(fd);

        return r;
}

int stream_release(Stream *s) {
        if (s->watch.fd >= 0)
                poller_forget(s->poller, &s->watch);

        s->reading = s->blocked = false;
        return TAKE_FD(s->watch.fd);
}

void stream_close(Stream *s) {
        if (s->watch.fd >= 0)
                poller_close(s->poller, &s->watch);

        s->reading = s->blocked = false;
        buffer_clear(&s->out);
}

ssize_t stream_read(Stream *s, void *data, size_t n) {
        ssize_t k = recv(s->watch.fd, data, n, 0);

        return k >= 0 ? k : -errno;
}

bool stream_has_unread(const Stream *s) {
        int n = 0;

        return ioctl(s->watch.fd, FIONREAD, &n) >= 0 && n > 0;
}

void stream_pause(Stream *s) {
        s->reading = false;
        (void) stream_update(s);
}

void stream_resume(Stream *s) {
        if (s->watch.fd < 0)
                return;

        /* If it cannot be watched now it stays paused, and whoever resumes it next tries again. */
        s->reading = true;
        if (stream_update(s) < 0)
                s->reading = false;
}

ssize_t stream_send(Stream *s, const struct iovec *iov, size_t n) {
        assert(s->out.size == 0);

        size_t total = 0;
        for (size_t i = 0; i < n; i++)
                total += iov[i].iov_len;

        if (s->broken)
                return (ssize_t) total;

        struct msghdr message = {.msg_iov = (struct iovec *) iov, .msg_iovlen = n};
        ssize_t k = sendmsg(s->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
                s->broken = true;
                return (ssize_t) total;
        }

        k = MAX(k, 0);
        if ((size_t) k < total) {
                s->blocked = true;
                int r = stream_update(s);
                if (r < 0)
                        return r;
        }

        return k;
}

int stream_flush(Stream *s) {
        if (s->out.size == 0)
                return 1;
        if (s->blocked)
                return 0;

        /* Taken out of the way of stream_send()'s check. */
        Buffer out = TAKE(s->out, BUFFER_INIT(s->out.max));
        ssize_t k = stream_send(s, &(struct iovec){(void *) buffer_data(&out), out.size}, 1);
        s->out = out;
        if (k < 0)
                return (int) k;

        buffer_consume(&s->out, (size_t) k);
        return s->out.size == 0;
}
