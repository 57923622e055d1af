/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "address.h"
#include "basic/timeout-queue.h"
#include "poller.h"

/*
 * Acceptor: a listening socket. It hands each connection on, a bounded number at a time, and when the system
 * has no descriptor or memory left it rests for a moment instead of being woken again and again for a
 * connection that it cannot take.
 */
typedef struct Acceptor Acceptor;

/* A new connection: @fd is the handler's from here on. */
typedef void (*AcceptHandler)(Acceptor *a, int fd, const SocketAddress *peer);

struct Acceptor {
        Watch watch;
        Poller *poller;
        TimeoutQueue *resting; /* see acceptor_rested() */
        Timeout rest;
        AcceptHandler handler;
};

#define ACCEPTOR_REST_USEC (100 * USEC_PER_MSEC)

/* Takes over @fd, which must be non-blocking, unless it fails. @resting: a queue of ACCEPTOR_REST_USEC whose
 * handler is acceptor_rested(). */
int acceptor_open(Acceptor *a, Poller *poller, TimeoutQueue *resting, int fd, AcceptHandler handler);
void acceptor_close(Acceptor *a);
void acceptor_rested(Timeout *t);

static inline bool acceptor_is_open(const Acceptor *a) {
        return a->poller;
}
