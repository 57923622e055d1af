/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>

/*
 * Threads that hang in something that does not come to its end (a token, a disk). They cannot be stopped, only left to
 * themselves. What they use must never be freed, and the process must not run the handlers of exit(3), which take down
 * libraries that the threads are in.
 */
void thread_leave(pthread_t thread);

/* Ends the process in the way that is right. */
void leave_process(int status) __attribute__((noreturn));
