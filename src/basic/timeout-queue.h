/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"
#include "time.h"

/*
 * TimeoutQueue: any number of timeouts of one and the same duration, on one sd-event timer. What was started
 * first elapses first, so starting and stopping one is O(1) and sixteen thousand of them cost one timer.
 *
 * A Timeout is embedded in the object it is for and must be stopped before that object goes.
 */
typedef struct Timeout Timeout;
typedef struct TimeoutQueue TimeoutQueue;

/* Called once a timeout has elapsed; it is no longer in the queue then. */
typedef void (*TimeoutHandler)(Timeout *timeout);

struct Timeout {
        TimeoutQueue *queue; /* NULL unless started */
        Timeout *prev, *next;
        usec_t since; /* CLOCK_MONOTONIC; before its beginning: modulo 2^64 */
};

struct TimeoutQueue {
        sd_event *event; /* borrowed: it outlives the queue */
        sd_event_source *timer;
        usec_t duration; /* USEC_INFINITY: nothing ever elapses */
        TimeoutHandler handler;
        Timeout *oldest; /* utlist head */
        size_t n_started;
};

int timeout_queue_init(TimeoutQueue *q, sd_event *event, usec_t duration, TimeoutHandler handler);
void timeout_queue_done(TimeoutQueue *q);

/* The new duration counts from each timeout's own start. */
void timeout_queue_set_duration(TimeoutQueue *q, usec_t duration);

/* Starts @t, or starts it anew. */
void timeout_start(TimeoutQueue *q, Timeout *t);

/* The same, but counted from this moment and not from when the loop woke up, so that the time is never shorter than the
 * duration. In one queue either all timeouts are started in this way or none. */
void timeout_start_now(TimeoutQueue *q, Timeout *t);

/* The same as if that had been @ago already. O(1) for those that are started in this way in their order. */
void timeout_start_ago(TimeoutQueue *q, Timeout *t, usec_t ago);
void timeout_stop(Timeout *t);

/* When @t, which has been started, will elapse; USEC_INFINITY: never. */
usec_t timeout_deadline(const Timeout *t);

/* CLOCK_MONOTONIC as the loop saw it when it last woke up, and the time since 1970. */
usec_t event_now(sd_event *event);
usec_t event_now_realtime(sd_event *event);
