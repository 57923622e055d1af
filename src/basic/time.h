/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <time.h>

/* Time in microseconds, as in systemd: a point on CLOCK_MONOTONIC, unless it is said to be since 1970, or a span. */
typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL

static inline usec_t now_of(clockid_t clock) {
        struct timespec t;

        clock_gettime(clock, &t);
        return (usec_t) t.tv_sec * USEC_PER_SEC + (usec_t) t.tv_nsec / 1000;
}

/* Right now, where what the loop saw when it last woke up (event_now()) is too old, or there is no loop. */
static inline usec_t now_monotonic(void) {
        return now_of(CLOCK_MONOTONIC);
}

static inline usec_t now_realtime(void) {
        return now_of(CLOCK_REALTIME);
}
