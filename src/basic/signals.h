/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include "macro.h"

/*
 * Blocks signals, so that the event loop handles them (sd_event_add_signal(3)). Must be called before threads are
 * created, which inherit the blocked signals. SIGPIPE is ignored: a write to a closed connection fails with EPIPE.
 */
#define leave_signals_to_loop(...)                                                                           \
        leave_signals_to_loop_(ELEMENTSOF(((const int[]){__VA_ARGS__})), (const int[]){__VA_ARGS__})

static inline void leave_signals_to_loop_(size_t n, const int *signals) {
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < n; i++)
                sigaddset(&set, signals[i]);

        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
}
