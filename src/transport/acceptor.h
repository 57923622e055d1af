/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "address.h"
#include "basic/log.h"
#include "basic/timeout-queue.h"
#include "poller.h"

/*
 * Acceptor: a listening socket. It hands each connection on, a bounded number at a time, and when the system
 * has no descriptor or memory left it pauses for a moment instead of being woken again and again for a
 * connection that it cannot take.
 */
typedef struct Acceptor Acceptor;

/* The pauses of all acceptors of a loop */
typedef struct AcceptorBackoff {
        TimeoutQueue queue;
        RateLimit failures;
} AcceptorBackoff;

/* A new connection: @fd is the handler's from here on. */
typedef void (*AcceptHandler)(Acceptor *a, int fd, const SocketAddress *peer);

struct Acceptor {
        Watch watch;
        Poller *poller;
        AcceptorBackoff *backoff;
        Timeout pause;
        AcceptHandler handler;
};

/* How long a pause is */
#define ACCEPTOR_BACKOFF_USEC (100 * USEC_PER_MSEC)

int acceptor_backoff_init(AcceptorBackoff *b, sd_event *event);
void acceptor_backoff_done(AcceptorBackoff *b);

/* Takes over @fd, which must be non-blocking; it is closed if this fails. */
int acceptor_open(Acceptor *a, Poller *poller, AcceptorBackoff *backoff, int fd, AcceptHandler handler);
void acceptor_close(Acceptor *a);

static inline bool acceptor_is_open(const Acceptor *a) {
        return a->poller;
}
