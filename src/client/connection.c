/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <stdio.h>

#include "connection.h"
#include "dial.h"

usec_t connection_deadline(void) {
        return now_monotonic() + CONNECTION_TIMEOUT_USEC;
}

/* Returns: 0, -ETIMEDOUT, or another negative errno. */
static int wait_for(int fd, short events, usec_t until) {
        struct pollfd p = {.fd = fd, .events = events};

        for (;;) {
                usec_t now = now_monotonic();
                int msec = -1;

                /* Whoever always has something ready, if never enough, does not get longer either. */
                if (until <= now)
                        return -ETIMEDOUT;
                if (until != USEC_INFINITY)
                        msec = (int) MIN((until - now) / USEC_PER_MSEC + 1, (usec_t) INT32_MAX);

                int n = poll(&p, 1, msec);
                if (n > 0)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
        }
}

/* What a session needs that could not go on */
static short tls_events(const TlsSession *s) {
        return tls_session_unsent(s) > 0 ? POLLOUT : POLLIN;
}

static int shake_hands(Dial *d, int fd, usec_t until, TlsSession **ret) {
        const Trust *trust = d->targets->trust;
        _cleanup_(tls_session_freep) TlsSession *s = NULL;

        int r = tls_session_new(trust_context(trust), fd, trust_host(trust), &s);
        if (r < 0) {
                dial_failed(d, r);
                return r;
        }

        while ((r = tls_session_handshake(s)) == 0) {
                r = wait_for(fd, tls_events(s), until);
                if (r < 0)
                        break;
        }
        if (r < 0)
                return dial_distrust(d, s);

        *ret = TAKE_PTR(s);
        return 0;
}

/* *ret_tls: NULL if it is plain. Returns: a descriptor or a negative errno. */
static int dial_and_wait(Dial *d, usec_t until, TlsSession **ret_tls) {
        int fd;

        while ((fd = dial_next(d)) >= 0) {
                usec_t deadline = MIN(connection_deadline(), until);

                int r = wait_for(fd, POLLOUT, deadline);
                if (r < 0)
                        dial_failed(d, r);
                else if (dial_check(d, fd) >= 0) {
                        r = d->targets->trust ? shake_hands(d, fd, deadline, ret_tls) : 0;
                        if (r >= 0)
                                return fd;

                        safe_close(fd);
                        return r;
                }

                safe_close(fd);
        }

        return fd;
}

int connection_open(const Targets *targets, usec_t until, Connection **ret, char **ret_problem) {
        _cleanup_(dial_done) Dial dial = DIAL_INIT(targets);
        _cleanup_(tls_session_freep) TlsSession *tls = NULL;
        _cleanup_close_ int fd = dial_and_wait(&dial, until, &tls);

        if (fd < 0) {
                *ret_problem = dial_explain(&dial);
                return fd;
        }

        Connection *c = malloc(sizeof(Connection));
        if (!c) {
                *ret_problem = NULL;
                return -ENOMEM;
        }

        *c = (Connection){
                .fd = TAKE_FD(fd),
                .tls = TAKE_PTR(tls),
                .targets = targets,
                .until = until,
                .local = target_is_local_socket(dial_target(&dial)),
                .same_machine = target_is_of_this_machine(dial_target(&dial)),
                .in = BUFFER_INIT(VARLINK_REPLY_MAX),
        };
        *ret = c;
        return 0;
}

Connection *connection_free(Connection *c) {
        if (!c)
                return NULL;

        if (c->tls)
                tls_session_bye(c->tls);
        tls_session_free(c->tls);
        safe_close(c->fd);
        buffer_clear(&c->in);
        free(c->problem);
        free(c);
        return NULL;
}

static ssize_t connection_write(Connection *c, const void *data, size_t n) {
        if (c->tls) {
                ssize_t k = tls_session_write(c->tls, data, n);

                /* Whoever reads finds out why. */
                return k == -EPIPE ? (ssize_t) n : k;
        }

        ssize_t k = send(c->fd, data, n, MSG_NOSIGNAL);

        return k >= 0 ? k : -errno;
}

/* Sends what TLS has taken. */
static int connection_flush(Connection *c, usec_t until) {
        int r;

        if (!c->tls)
                return 0;

        while ((r = tls_session_flush(c->tls)) == 0) {
                r = wait_for(c->fd, POLLOUT, until);
                if (r < 0)
                        return r;
        }

        return r == -EPIPE ? 0 : MIN(r, 0);
}

int connection_call(Connection *c, const char *method, json_t *parameters, VarlinkFlags flags) {
        _cleanup_free_ char *text = NULL;
        usec_t until = MIN(connection_deadline(), c->until);
        size_t size;

        int r = varlink_format_call(method, parameters, flags, &text, &size);
        if (r < 0)
                return r;

        for (size_t sent = 0; sent < size;) {
                ssize_t n = connection_write(c, text + sent, size - sent);
                if (n >= 0) {
                        sent += (size_t) n;
                        continue;
                }
                if (n != -EAGAIN)
                        return (int) n;

                r = wait_for(c->fd, POLLOUT, until);
                if (r < 0)
                        return r;
        }

        return connection_flush(c, until);
}

static ssize_t connection_read(Connection *c, void *data, size_t n) {
        if (c->tls)
                return tls_session_read(c->tls, data, n);

        ssize_t k = recv(c->fd, data, n, 0);

        return k >= 0 ? k : -errno;
}

/* Reads what is there, or waits for it. */
static int connection_fill(Connection *c, usec_t until) {
        size_t n = MIN(buffer_space(&c->in), (size_t) 65536);
        uint8_t *p = buffer_reserve(&c->in, n);
        if (!p)
                return -ENOMEM;

        ssize_t k = connection_read(c, p, n);
        buffer_commit(&c->in, (size_t) MAX(k, (ssize_t) 0));

        if (k == 0)
                return -ECONNRESET;
        if (k == -EAGAIN)
                return wait_for(c->fd, c->tls ? tls_events(c->tls) : POLLIN, until);
        if (k < 0)
                return (int) k;

        /* Whoever sends without a pause does not get longer either. */
        return now_monotonic() > until ? -ETIMEDOUT : 0;
}

int connection_receive(Connection *c, usec_t until, VarlinkReply *ret) {
        int r;

        until = MIN(until, c->until);
        while ((r = varlink_take_reply(&c->in, &c->n_searched, ret)) == 0) {
                r = connection_fill(c, until);
                if (r < 0)
                        return r;
        }

        return MIN(r, 0);
}

const char *connection_strerror(Connection *c, int error) {
        if (error != -EPROTO || !c->tls)
                return varlink_strerror(error);

        _cleanup_free_ char *why = trust_explain(c->targets->trust, c->tls);

        free(c->problem);
        if (!why || asprintf(&c->problem, "TLS has failed: %s", why) < 0)
                c->problem = NULL;
        return c->problem ?: "Out of memory";
}

int connection_ask(Connection *c, const char *method, json_t *parameters, VarlinkReply *ret) {
        int r = connection_call(c, method, parameters, VARLINK_ONE);
        if (r < 0)
                return r;

        return connection_receive(c, connection_deadline(), ret);
}
