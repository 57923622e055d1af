/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>

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

                if (until != USEC_INFINITY)
                        msec = until > now ? (int) MIN((until - now) / USEC_PER_MSEC + 1, (usec_t) INT32_MAX)
                                           : 0;

                int n = poll(&p, 1, msec);
                if (n > 0)
                        return 0;
                if (n == 0 && msec == 0)
                        return -ETIMEDOUT;
                if (n < 0 && errno != EINTR)
                        return -errno;
        }
}

/* Returns: a descriptor or a negative errno. */
static int dial_and_wait(Dial *d, usec_t until) {
        int fd;

        while ((fd = dial_next(d)) >= 0) {
                int r = wait_for(fd, POLLOUT, MIN(connection_deadline(), until));
                if (r < 0)
                        dial_failed(d, r);
                else if (dial_check(d, fd) >= 0)
                        return fd;

                safe_close(fd);
        }

        return fd;
}

int connection_open(const Targets *targets, usec_t until, Connection **ret, char **ret_problem) {
        _cleanup_(dial_done) Dial dial = DIAL_INIT(targets);
        _cleanup_close_ int fd = dial_and_wait(&dial, until);

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

        safe_close(c->fd);
        buffer_clear(&c->in);
        free(c);
        return NULL;
}

int connection_call(Connection *c, const char *method, json_t *parameters, VarlinkFlags flags) {
        _cleanup_free_ char *text = NULL;
        usec_t until = MIN(connection_deadline(), c->until);
        size_t size;

        int r = varlink_format_call(method, parameters, flags, &text, &size);
        if (r < 0)
                return r;

        for (size_t sent = 0; sent < size;) {
                ssize_t n = send(c->fd, text + sent, size - sent, MSG_NOSIGNAL);
                if (n >= 0) {
                        sent += (size_t) n;
                        continue;
                }
                if (errno != EAGAIN)
                        return -errno;

                r = wait_for(c->fd, POLLOUT, until);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* Reads what is there, or waits for it. */
static int connection_fill(Connection *c, usec_t until) {
        size_t n = MIN(buffer_space(&c->in), (size_t) 65536);
        uint8_t *p = buffer_reserve(&c->in, n);
        if (!p)
                return -ENOMEM;

        ssize_t k = recv(c->fd, p, n, 0);
        int error = k < 0 ? -errno : 0;
        buffer_commit(&c->in, (size_t) MAX(k, 0));

        if (k == 0)
                return -ECONNRESET;
        if (error == -EAGAIN)
                return wait_for(c->fd, POLLIN, until);
        if (error < 0)
                return error;

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

int connection_ask(Connection *c, const char *method, json_t *parameters, VarlinkReply *ret) {
        int r = connection_call(c, method, parameters, VARLINK_ONE);
        if (r < 0)
                return r;

        return connection_receive(c, connection_deadline(), ret);
}
