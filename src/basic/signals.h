/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include "macro.h"

/*
 * Leaves signals to the event loop (sd_event_add_signal(3)), in whatever thread they would otherwise arrive: to be
 * called before there are threads, which inherit it. SIGPIPE is of no use to a loop and is ignored: a write to
 * somebody who has gone fails with EPIPE.
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
