/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/timeout-queue.h"

/*
 * Liveness: detects that the peer of a TCP connection is dead, or does not read (stuck).
 *
 * A peer is dead if it has not answered a segment or a probe, and has acknowledged nothing for LIVENESS_DEAD_SEC. If all data
 * has been acknowledged, the kernel's keepalive detects this (socket_tune()). If not, keepalive does not run, and the kernel
 * alone would try for a quarter of an hour. So Liveness checks TCP_INFO every LIVENESS_LOOK_USEC until all data has been
 * acknowledged. A connection on which all data has been acknowledged costs no system call and no timer.
 *
 * A peer that acknowledges but does not read is alive, and may do so for ever unless there is a limit. The kernel probes it
 * more and more rarely, in the end every 120 s, so the death of such a peer is detected up to 120 s later.
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
        usec_t limit;        /* how long the peer may acknowledge no new byte while data waits; 0: for ever */
        usec_t taken_at;     /* when the peer last acknowledged a new byte, or no data waited (CLOCK_MONOTONIC) */
        uint64_t acked;      /* bytes acknowledged at the last check */
        bool unanswered;     /* at the last check a segment or a probe was unanswered */
        bool not_tcp;
        bool ended; /* the peer was dead or stuck, and the connection has been ended */
} Liveness;

typedef enum LivenessVerdict {
        LIVENESS_IDLE,    /* all data has been acknowledged */
        LIVENESS_WAITING, /* some data has not been acknowledged; the peer seems to be alive */
        LIVENESS_DEAD,
        LIVENESS_STUCK, /* the peer has acknowledged no new byte for `limit` */
} LivenessVerdict;

/* Must be called when data is sent: the connection is checked from now on until all data has been acknowledged. */
void liveness_begin(Liveness *l);
void liveness_stop(Liveness *l);

/* The handler of the queue. Ends the connection if the peer is dead or stuck: reading then returns the end, writing fails, and
 * the kernel discards unacknowledged data when the socket is closed. */
void liveness_look(Timeout *look);

/* Returns: what @info, read at @now, says about the peer. Updates @l for the next check. */
LivenessVerdict liveness_judge(Liveness *l, const struct tcp_info *info, usec_t now);
