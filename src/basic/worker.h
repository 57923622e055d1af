/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>

#include "macro.h"
#include "time.h"

/*
 * Worker: threads for work that may block, with a lock and a condition variable. The owner keeps the work and limits how much
 * of it may wait.
 *
 * worker_stop() waits for the threads for a limited time. A thread that hangs (in a token, a disk, NSS) is abandoned: it owns
 * what it uses until it ends.
 */
#define WORKER_THREADS_MAX 8U

typedef struct Worker {
        pthread_mutex_t lock; /* for everything that the threads share with others */
        pthread_cond_t changed;
        bool stopping; /* threads must end as soon as they can */
        unsigned n_running;

        /* private */
        void (*run)(void *userdata);
        void (*orphaned)(void *userdata);
        void *userdata;
        unsigned n_threads;
        pthread_t threads[WORKER_THREADS_MAX];
} Worker;

#define WORKER_INIT ((Worker){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER})

/* Starts a thread. It calls @run with the lock held; @run must return with the lock held when w->stopping is set. All threads
 * of a worker have the same @run and @userdata. @name: for ps(1). Returns: 0 or a negative errno. */
int worker_start(Worker *w, const char *name, void (*run)(void *userdata), void *userdata);

/* Waits @usec for all threads to end. Returns: whether they have ended. If not, the threads own the worker and its work from
 * now on, and the last one calls @orphaned (if not NULL) when it ends, without the lock. */
bool worker_stop(Worker *w, usec_t usec, void (*orphaned)(void *userdata));

/* To be called after worker_stop() has returned true, or if no thread was started. */
void worker_done(Worker *w);

static inline void worker_lock(Worker *w) {
        pthread_mutex_lock(&w->lock);
}

static inline void worker_unlock(Worker *w) {
        pthread_mutex_unlock(&w->lock);
}

/* Wakes all threads that wait for a change. Call it with the lock held. */
static inline void worker_wake(Worker *w) {
        pthread_cond_broadcast(&w->changed);
}

/* The same for one thread */
static inline void worker_wake_one(Worker *w) {
        pthread_cond_signal(&w->changed);
}

/* Waits for a change, at most until @until (CLOCK_MONOTONIC; USEC_INFINITY: no limit). Call it with the lock held. Returns:
 * false if it is @until or later. */
bool worker_wait_until(Worker *w, usec_t until);

/* Ends the process. If an abandoned thread still runs, without the handlers of exit(3): they unload what the thread uses. */
void worker_leave_process(int status) __attribute__((noreturn));
