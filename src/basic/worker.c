/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdatomic.h>
#include <stdio.h>

#include "worker.h"

static atomic_bool any_left; /* threads that have not ended when they should have */

bool worker_wait_until(Worker *w, usec_t until) {
        const struct timespec t = {
                .tv_sec = (time_t) (until / USEC_PER_SEC),
                .tv_nsec = (long) (until % USEC_PER_SEC * 1000),
        };

        if (until == USEC_INFINITY)
                return pthread_cond_wait(&w->changed, &w->lock) == 0;

        return pthread_cond_clockwait(&w->changed, &w->lock, CLOCK_MONOTONIC, &t) == 0;
}

static void *thread_main(void *worker) {
        Worker *w = worker;

        worker_lock(w);
        w->run(w->userdata);
        w->n_running--;
        void (*orphaned)(void *) = w->n_running == 0 ? w->orphaned : NULL;
        worker_wake(w);
        worker_unlock(w);

        if (orphaned)
                orphaned(w->userdata);
        return NULL;
}

int worker_start(Worker *w, const char *name, void (*run)(void *userdata), void *userdata) {
        assert(w->n_threads < WORKER_THREADS_MAX);

        worker_lock(w);
        if (w->n_threads == 0)
                w->stopping = false;
        w->run = run;
        w->userdata = userdata;
        int r = pthread_create(&w->threads[w->n_threads], NULL, thread_main, w);
        if (r == 0) {
                (void) pthread_setname_np(w->threads[w->n_threads++], name);
                w->n_running++;
        }
        worker_unlock(w);

        return -r;
}

bool worker_stop(Worker *w, usec_t usec, void (*orphaned)(void *userdata)) {
        usec_t until = now_monotonic() + usec;

        worker_lock(w);
        w->stopping = true;
        worker_wake(w);
        while (w->n_running > 0 && worker_wait_until(w, until))
                ;

        bool ended = w->n_running == 0;
        if (!ended) {
                w->orphaned = orphaned;
                any_left = true;
                for (unsigned i = 0; i < w->n_threads; i++)
                        (void) pthread_detach(w->threads[i]);
        }
        worker_unlock(w);
        if (!ended)
                return false;

        for (; w->n_threads > 0; w->n_threads--)
                pthread_join(w->threads[w->n_threads - 1], NULL);
        return true;
}

void worker_done(Worker *w) {
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->lock);
}

void worker_leave_process(int status) {
        if (!any_left)
                exit(status);

        (void) fflush(NULL);
        _exit(status);
}
