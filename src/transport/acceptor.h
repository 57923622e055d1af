/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "address.h"
#include "basic/log.h"
#include "basic/timeout-queue.h"
#include "poller.h"

/*
 * Acceptor: accepts the connections of a listening socket and passes each one to a handler, a bounded number before the loop
 * goes on. If the system has no descriptor or memory left, it pauses for ACCEPTOR_BACKOFF_USEC: otherwise the event loop would
 * be woken all the time for a connection that cannot be accepted.
 */
typedef struct Acceptor Acceptor;

/* The timers for the pauses, shared by all acceptors of a loop */
typedef struct AcceptorBackoff {
        TimeoutQueue queue;
        RateLimit failures;
} AcceptorBackoff;

/* Called for each new connection. The handler owns @fd, which is non-blocking. It may close the acceptor. */
typedef void (*AcceptHandler)(Acceptor *a, int fd, const SocketAddress *peer);

struct Acceptor {
        Watch watch;
        Poller *poller;
        AcceptorBackoff *backoff;
        Timeout pause;
        AcceptHandler handler;
};

#define ACCEPTOR_BACKOFF_USEC (100 * USEC_PER_MSEC)

int acceptor_backoff_init(AcceptorBackoff *b, sd_event *event);
void acceptor_backoff_done(AcceptorBackoff *b);

/* Takes over @fd, which must be non-blocking; it is closed if this fails. */
int acceptor_open(Acceptor *a, Poller *poller, AcceptorBackoff *backoff, int fd, AcceptHandler handler);
void acceptor_close(Acceptor *a);

static inline bool acceptor_is_open(const Acceptor *a) {
        return a->poller;
}
