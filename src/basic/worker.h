/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>

#include "macro.h"
#include "time.h"

/*
 * Worker: threads that do what may block, with the lock and the condition that they share with those who give them work.
 * What the threads work on, and how much of it may wait, is the owner's business.
 *
 * The end of the threads is waited for, but not for ever: a thread that hangs (in a token, a disk, NSS) is left to itself.
 * What it uses must not be freed before it ends.
 */
#define WORKER_THREADS_MAX 8U

typedef struct Worker {
        pthread_mutex_t lock; /* of everything that the threads and others share */
        pthread_cond_t changed;
        bool stopping; /* threads end as soon as they can */
        unsigned n_running;

        /* Its own */
        void (*run)(void *userdata);
        void (*orphaned)(void *userdata);
        void *userdata;
        unsigned n_threads;
        pthread_t threads[WORKER_THREADS_MAX];
} Worker;

#define WORKER_INIT ((Worker){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER})

/* Starts a thread, or another one, in which @run is called with the lock held; it returns with the lock held when
 * w->stopping. Threads of one worker have the same @run and @userdata. @name: for ps(1). Returns: 0 or a negative errno. */
int worker_start(Worker *w, const char *name, void (*run)(void *userdata), void *userdata);

/* Waits @usec for all threads to end. Returns: whether they have ended. If not, the worker and what it works on belong to
 * them from now on; the last one calls @orphaned, unless that is NULL, when it ends, without the lock. */
bool worker_stop(Worker *w, usec_t usec, void (*orphaned)(void *userdata));

/* After worker_stop() has returned true, or if nothing was started */
void worker_done(Worker *w);

static inline void worker_lock(Worker *w) {
        pthread_mutex_lock(&w->lock);
}

static inline void worker_unlock(Worker *w) {
        pthread_mutex_unlock(&w->lock);
}

/* With the lock held: wakes all that wait for a change. */
static inline void worker_wake(Worker *w) {
        pthread_cond_broadcast(&w->changed);
}

/* The same for one of them */
static inline void worker_wake_one(Worker *w) {
        pthread_cond_signal(&w->changed);
}

/* With the lock held: waits for a change, until @until (CLOCK_MONOTONIC; USEC_INFINITY: for ever). Returns: false once it is
 * as late as that. */
bool worker_wait_until(Worker *w, usec_t until);

/* Ends the process. While a thread that was left to itself still runs the handlers of exit(3) must not be called: they take
 * down libraries that the thread is in. */
void worker_leave_process(int status) __attribute__((noreturn));
