/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "address.h"
#include "basic/log.h"
#include "basic/timeout-queue.h"
#include "poller.h"

/*
 * Acceptor: a listening socket. It hands each connection on, a bounded number at a time, and when the system
 * has no descriptor or memory left it rests for a moment instead of being woken again and again for a
 * connection that it cannot take.
 */
typedef struct Acceptor Acceptor;

/* The rests that all acceptors of a loop take */
typedef struct AcceptorRests {
        TimeoutQueue queue;
        RateLimit failures;
} AcceptorRests;

/* A new connection: @fd is the handler's from here on. */
typedef void (*AcceptHandler)(Acceptor *a, int fd, const SocketAddress *peer);

struct Acceptor {
        Watch watch;
        Poller *poller;
        AcceptorRests *rests;
        Timeout rest;
        AcceptHandler handler;
};

/* How long a rest is */
#define ACCEPTOR_REST_USEC (100 * USEC_PER_MSEC)

int acceptor_rests_init(AcceptorRests *r, sd_event *event);
void acceptor_rests_done(AcceptorRests *r);

/* Takes over @fd, which must be non-blocking; it is closed if this fails. */
int acceptor_open(Acceptor *a, Poller *poller, AcceptorRests *rests, int fd, AcceptHandler handler);
void acceptor_close(Acceptor *a);

static inline bool acceptor_is_open(const Acceptor *a) {
        return a->poller;
}
