/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"
#include "time.h"

/*
 * TimeoutQueue: any number of timeouts with the same duration, on a single sd-event timer. Timeouts elapse in the
 * order in which they were started, so starting and stopping one takes O(1).
 *
 * A Timeout is embedded in its object and must be stopped before the object is freed.
 */
typedef struct Timeout Timeout;
typedef struct TimeoutQueue TimeoutQueue;

/* Called when a timeout has elapsed and has been removed from the queue. */
typedef void (*TimeoutHandler)(Timeout *timeout);

struct Timeout {
        TimeoutQueue *queue; /* NULL unless started */
        Timeout *prev, *next;
        usec_t since_usec; /* start, CLOCK_MONOTONIC; modulo 2^64, as it may be before the beginning of the clock */
};

struct TimeoutQueue {
        sd_event *event; /* borrowed: outlives the queue */
        sd_event_source *timer;
        usec_t duration_usec; /* USEC_INFINITY: timeouts never elapse */
        TimeoutHandler handler;
        Timeout *oldest; /* utlist head */
        size_t n_started;
};

int timeout_queue_init(TimeoutQueue *q, sd_event *event, usec_t duration, TimeoutHandler handler);
void timeout_queue_done(TimeoutQueue *q);

/* The new duration applies to started timeouts as well, counted from the start of each. */
void timeout_queue_set_duration(TimeoutQueue *q, usec_t duration);

/* Starts or restarts @t. */
void timeout_start(TimeoutQueue *q, Timeout *t);

/* The same, but counted from the present time instead of the loop's last wake-up, so that the time is never
 * shorter than the duration. All timeouts of a queue must be started in the same way. */
void timeout_start_now(TimeoutQueue *q, Timeout *t);

/* The same, as if it had been started @ago earlier. O(1) if timeouts are started in the order in which they elapse. */
void timeout_start_ago(TimeoutQueue *q, Timeout *t, usec_t ago);
void timeout_stop(Timeout *t);

/* Returns: the time when @t, which must be started, will elapse; USEC_INFINITY: never. */
usec_t timeout_deadline(const Timeout *t);

/* Return: the time of the loop's last wake-up, of CLOCK_MONOTONIC and since 1970. */
usec_t event_now(sd_event *event);
usec_t event_now_realtime(sd_event *event);
