/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "left-thread.h"

static atomic_bool any_left;

void thread_leave(pthread_t thread) {
        (void) pthread_detach(thread);
        any_left = true;
}

void leave_process(int status) {
        if (!any_left)
                exit(status);

        (void) fflush(NULL);
        _exit(status);
}
