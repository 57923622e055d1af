/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"
#include "time.h"

/*
 * RateLimit: how often something may happen. In an interval, which begins with the first time, so many times pass; the
 * others are left out, and counted until somebody takes the count. All zero to begin with.
 */
typedef struct RateLimit {
        usec_t since; /* when the interval began, CLOCK_MONOTONIC; 0: there was none yet */
        unsigned n;   /* how many times have passed since then */
        unsigned n_left_out;
} RateLimit;

/* It happens again. Returns: whether that passes. */
static inline bool rate_limit_pass(RateLimit *l, usec_t now, usec_t interval, unsigned max) {
        if (l->since == 0 || now - l->since >= interval) {
                l->since = now;
                l->n = 0;
        }

        bool passes = l->n < max;
        if (passes)
                l->n++;
        else
                l->n_left_out++;
        return passes;
}
