/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "account.h"
#include "basic/timeout-queue.h"
#include "stream.h"

/*
 * Closer: closes connections so that the peer receives everything that was sent to it. If a socket is closed while data of the
 * peer is unread, the kernel resets the connection, and the peer may lose the last output. So the closer first sends the
 * queue, then shuts down the sending side, and reads and discards data until the peer closes the connection as well (a
 * lingering close).
 *
 * A lingering close takes CLOSER_LINGER_USEC at most. There are CLOSER_MAX at most: one more closes the oldest one at once.
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

/* Takes over the connection and the output queue of @s, which is closed afterwards. @charge: the queue is charged to the owner
 * of this charge; NULL: to nobody. */
void closer_take(Closer *c, Stream *s, const Charge *charge);

/* The same for a descriptor without a stream, which is taken over. @text is sent first; it may be empty, and is charged to
 * nobody. */
void closer_take_fd(Closer *c, int fd, const char *text);
