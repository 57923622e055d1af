/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"
#include "time.h"

/*
 * RateLimit: lets an event pass a limited number of times in an interval, and counts the events left out. An interval begins
 * with the first event after the previous interval. Initially all zero. The owner resets n_left_out.
 */
typedef struct RateLimit {
        usec_t since; /* start of the interval, CLOCK_MONOTONIC; 0: no event yet */
        unsigned n;   /* events that passed since then */
        unsigned n_left_out;
} RateLimit;

/* Counts an event. Returns: whether it passes. */
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
