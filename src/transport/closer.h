/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "account.h"
#include "basic/timeout-queue.h"
#include "stream.h"

/*
 * Closer: ends connections so that the peer gets our last words. A socket that is closed while something from
 * the peer is unread resets the connection, and the reset may overtake what was sent: so it is first flushed,
 * then shut down, and what still comes is read and thrown away until the peer closes as well.
 *
 * Both the time that this takes and the number of connections that are in it are bounded; at a bound a
 * connection is simply closed.
 */
#define CLOSER_LINGER_USEC (2 * USEC_PER_SEC)
#define CLOSER_MAX 256U

typedef struct Closer {
        Poller *poller;
        TimeoutQueue lingering;
        size_t n_lingering;
} Closer;

int closer_init(Closer *c, Poller *poller);
void closer_done(Closer *c);

/* Takes the connection and its queue of output over; for its owner @s is closed afterwards. @charge: the queue is charged to
 * the owner of this charge; NULL: to nobody. */
void closer_take(Closer *c, Stream *s, const Charge *charge);

/* The same for a descriptor that no stream has been made of. @text: the last words, may be empty; charged to nobody. */
void closer_take_fd(Closer *c, int fd, const char *text);
