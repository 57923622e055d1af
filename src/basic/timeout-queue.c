/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <time.h>
#include <utlist.h>

#include "timeout-queue.h"

#define TIMEOUT_TURN_USEC USEC_PER_MSEC

usec_t event_now(sd_event *event) {
        usec_t now = 0;

        (void) sd_event_now(event, CLOCK_MONOTONIC, &now);
        return now;
}

usec_t event_now_realtime(sd_event *event) {
        usec_t now = 0;

        (void) sd_event_now(event, CLOCK_REALTIME, &now);
        return now;
}

usec_t timeout_deadline(const Timeout *t) {
        usec_t duration = t->queue->duration_usec, before_the_clock = -t->since_usec, sum;

        if (duration == USEC_INFINITY)
                return USEC_INFINITY;
        if ((int64_t) t->since_usec < 0)
                return duration - MIN(duration, before_the_clock);

        return __builtin_add_overflow(t->since_usec, duration, &sum) ? USEC_INFINITY : sum;
}

/* Sets the timer for the oldest timeout. Stopping a timeout does not change the timer: if it elapses too early, it is
 * set again. */
static void timeout_queue_arm(TimeoutQueue *q) {
        if (!q->oldest || q->duration_usec == USEC_INFINITY) {
                (void) sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
                return;
        }

        (void) sd_event_source_set_time(q->timer, timeout_deadline(q->oldest));
        (void) sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        TimeoutQueue *q = userdata;
        usec_t now = event_now(q->event);

        /* Many timeouts can elapse at the same time, for example after a host has failed: handle other
         * events in between. */
        usec_t end = now_monotonic() + TIMEOUT_TURN_USEC;

        while (q->oldest && timeout_deadline(q->oldest) <= now) {
                Timeout *t = q->oldest;

                timeout_stop(t);
                q->handler(t);
                if (now_monotonic() >= end)
                        break;
        }

        timeout_queue_arm(q);
        return 0;
}

int timeout_queue_init(TimeoutQueue *q, sd_event *event, usec_t duration, TimeoutHandler handler) {
        *q = (TimeoutQueue){.event = event, .duration_usec = duration, .handler = handler};

        /* Half a millisecond of accuracy: with the default of 250 ms, half a second for a telnet handshake
         * could become three quarters of a second. */
        int r = sd_event_add_time(event, &q->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC / 2, on_timer, q);
        if (r < 0)
                return r;

        return sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
}

void timeout_queue_done(TimeoutQueue *q) {
        while (q->oldest)
                timeout_stop(q->oldest);

        q->timer = sd_event_source_disable_unref(q->timer);
}

void timeout_queue_set_duration(TimeoutQueue *q, usec_t duration) {
        q->duration_usec = duration;
        timeout_queue_arm(q);
}

static void timeout_start_at(TimeoutQueue *q, Timeout *t, usec_t since) {
        timeout_stop(t);

        t->queue = q;
        t->since_usec = since;
        DL_APPEND(q->oldest, t);
        q->n_started++;
        if (q->oldest == t)
                timeout_queue_arm(q);
}

void timeout_start(TimeoutQueue *q, Timeout *t) {
        timeout_start_at(q, t, event_now(q->event));
}

void timeout_start_now(TimeoutQueue *q, Timeout *t) {
        timeout_start_at(q, t, now_monotonic());
}

void timeout_start_ago(TimeoutQueue *q, Timeout *t, usec_t ago) {
        timeout_start(q, t);
        t->since_usec -= ago;

        /* The list is sorted by these times; prev of its head is its tail. */
        Timeout *before = t;
        while (before != q->oldest && (int64_t) (before->prev->since_usec - t->since_usec) > 0)
                before = before->prev;
        if (before != t) {
                DL_DELETE(q->oldest, t);
                DL_PREPEND_ELEM(q->oldest, before, t);
        }

        if (q->oldest == t)
                timeout_queue_arm(q);
}

void timeout_stop(Timeout *t) {
        if (!t->queue)
                return;

        DL_DELETE(t->queue->oldest, t);
        t->queue->n_started--;
        t->queue = NULL;
}
