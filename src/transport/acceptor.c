/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "acceptor.h"
#include "socket.h"

/* Connections accepted before existing connections have their turn again */
#define ACCEPTOR_BATCH 32

static void acceptor_pause(Acceptor *a, int error) {
        if (log_rate_limit_pass(&a->backoff->failures, event_now(a->backoff->queue.event)) > 0)
                log_warning_errno(error, "Cannot accept connections for the moment: %m");

        (void) poller_watch(a->poller, &a->watch, 0);
        timeout_start(&a->backoff->queue, &a->pause);
}

static void acceptor_pause_elapsed(Timeout *t) {
        Acceptor *a = container_of(t, Acceptor, pause);

        if (poller_watch(a->poller, &a->watch, EPOLLIN) < 0)
                timeout_start(&a->backoff->queue, t);
}

int acceptor_backoff_init(AcceptorBackoff *b, sd_event *event) {
        b->failures = (RateLimit){};
        return timeout_queue_init(&b->queue, event, ACCEPTOR_BACKOFF_USEC, acceptor_pause_elapsed);
}

void acceptor_backoff_done(AcceptorBackoff *b) {
        timeout_queue_done(&b->queue);
}

static void acceptor_dispatch(Watch *w, _unused_ uint32_t events) {
        Acceptor *a = container_of(w, Acceptor, watch);

        for (unsigned i = 0; i < ACCEPTOR_BATCH; i++) {
                SocketAddress peer = {};
                socklen_t length = sizeof peer;

                int fd = accept4(a->watch.fd, &peer.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd >= 0) {
                        /* Set here and not on the listening socket: connections that queued there while vspcd started
                         * would not have inherited it. */
                        if (peer.any.sa_family != AF_UNIX)
                                socket_tune(fd);
                        a->handler(a, fd, &peer);
                        /* The handler may have closed the acceptor. */
                        if (!acceptor_is_open(a))
                                return;
                        continue;
                }

                switch (errno) {
                case EMFILE:
                case ENFILE:
                case ENOBUFS:
                case ENOMEM:
                        acceptor_pause(a, errno);
                        return;
                case EAGAIN:
                        return;
                default: /* other errors concern the new connection only (accept(2)): the next one may work */
                        continue;
                }
        }
}

int acceptor_open(Acceptor *a, Poller *poller, AcceptorBackoff *backoff, int fd, AcceptHandler handler) {
        *a = (Acceptor){
                .watch = {.fd = fd, .handler = acceptor_dispatch},
                .backoff = backoff,
                .handler = handler,
        };

        int r = poller_watch(poller, &a->watch, EPOLLIN);
        if (r < 0) {
                a->watch.fd = safe_close(fd);
                return r;
        }

        a->poller = poller;
        return 0;
}

void acceptor_close(Acceptor *a) {
        if (!acceptor_is_open(a))
                return;

        timeout_stop(&a->pause);
        poller_close(a->poller, &a->watch);
        a->poller = NULL;
}
