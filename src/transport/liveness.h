/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/timeout-queue.h"

/*
 * Liveness: finds out that the peer of a TCP connection is dead, or takes nothing.
 *
 * A peer is dead if a segment or a probe is unanswered and nothing has been acknowledged for LIVENESS_DEAD_SEC. While
 * nothing is under way to it, the kernel's keepalive finds that out (socket_tune()). While something is, keepalive does not
 * run, and the kernel goes on for a quarter of an hour: then TCP_INFO is looked at every LIVENESS_LOOK_USEC, until all
 * has been acknowledged. A connection that has nothing under way costs no system call, and no timer.
 *
 * A peer that acknowledges and does not read is alive, for as long as it likes unless there is a limit. The kernel probes
 * it ever more rarely, in the end every 120 s, so the death of such a peer is found up to that much later.
 *
 * Embedded in its owner, for a connected socket.
 */
#define LIVENESS_DEAD_SEC 90U
#define LIVENESS_LOOK_USEC (10 * USEC_PER_SEC)

struct tcp_info;

typedef struct Liveness {
        int fd;
        TimeoutQueue *queue; /* for all connections of a loop; its handler is liveness_look(), its duration LIVENESS_LOOK_USEC */
        Timeout look;        /* started while something may be unacknowledged */
        usec_t limit;        /* how long the peer may take nothing of what it is sent; 0: for ever */
        usec_t taken_at;     /* it has taken something, or had nothing to take */
        uint64_t acked;      /* bytes, at the last look */
        bool unanswered;     /* something was, at the last look */
        bool not_tcp;
        bool ended; /* the peer was dead or stuck */
} Liveness;

typedef enum LivenessVerdict {
        LIVENESS_IDLE,    /* all has been acknowledged */
        LIVENESS_WAITING, /* something has not, and the peer is alive as far as is known */
        LIVENESS_DEAD,
        LIVENESS_STUCK, /* it has taken nothing for as long as it may */
} LivenessVerdict;

/* Something is sent: the connection is looked at from now on, until all has been acknowledged. */
void liveness_begin(Liveness *l);
void liveness_stop(Liveness *l);

/* The queue's handler. It ends the connection of a peer that is dead or stuck: reading comes to an end, writing fails, and
 * what is still under way is thrown away when the socket is closed. */
void liveness_look(Timeout *look);

/* What @info, got at @now, says. */
LivenessVerdict liveness_judge(Liveness *l, const struct tcp_info *info, usec_t now);
