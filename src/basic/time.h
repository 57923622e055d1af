/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <time.h>

/* Time in microseconds, as in systemd: a time span or a time of CLOCK_MONOTONIC, unless "since 1970" is mentioned. */
typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL

static inline usec_t now_of(clockid_t clock) {
        struct timespec t;

        clock_gettime(clock, &t);
        return (usec_t) t.tv_sec * USEC_PER_SEC + (usec_t) t.tv_nsec / 1000;
}

/* The present time, for code without an event loop, or if event_now(), the time of the last wake-up, is too old. */
static inline usec_t now_monotonic(void) {
        return now_of(CLOCK_MONOTONIC);
}

static inline usec_t now_realtime(void) {
        return now_of(CLOCK_REALTIME);
}
