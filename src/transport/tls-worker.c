/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <utlist.h>

#include "basic/left-thread.h"
#include "basic/log.h"
#include "basic/time.h"
#include "tls-worker.h"

#define THREADS_MAX 8U

/* A connection that is made a little later is not noticed; a key that echoes later is. The sandbox of vspc.service
 * does not allow it: there the kernel shares processors evenly. */
#define THREAD_NICE 5

/* Sources whose hashes agree in this have their turn together. */
#define BUCKETS 256U

/* What waits */
typedef struct Queue {
        TlsJob *buckets[BUCKETS]; /* utlist */
        unsigned next;            /* bucket that has its turn */
        size_t size;
} Queue;

struct TlsWorker {
        Poller *poller;
        Watch finished; /* an eventfd: there is something in done */

        pthread_mutex_t lock;
        pthread_cond_t changed;
        Queue begun, new;
        TlsJob *done; /* utlist */
        bool stopping;
        bool left; /* to the threads that still run; the last of them frees it */

        pthread_t threads[THREADS_MAX];
        unsigned n_threads, n_running;
};

static TlsJob **queue_bucket(Queue *q, const TlsJob *job) {
        return &q->buckets[job->source % BUCKETS];
}

static void queue_add(Queue *q, TlsJob *job) {
        TlsJob **bucket = queue_bucket(q, job);

        DL_APPEND(*bucket, job);
        q->size++;
}

static void queue_remove(Queue *q, TlsJob *job) {
        TlsJob **bucket = queue_bucket(q, job);

        DL_DELETE(*bucket, job);
        q->size--;
}

/* NULL if there is none. */
static TlsJob *queue_take(Queue *q) {
        if (q->size == 0)
                return NULL;

        while (!q->buckets[q->next])
                q->next = (q->next + 1) % BUCKETS;

        TlsJob *job = q->buckets[q->next];
        queue_remove(q, job);
        q->next = (q->next + 1) % BUCKETS;
        return job;
}

static Queue *worker_queue(TlsWorker *w, const TlsJob *job) {
        return job->begun ? &w->begun : &w->new;
}

static void worker_free(TlsWorker *w) {
        safe_close(w->finished.fd);
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->lock);
        free(w);
}

static void *run(void *userdata) {
        TlsWorker *w = userdata;

        (void) setpriority(PRIO_PROCESS, (id_t) gettid(), THREAD_NICE);

        pthread_mutex_lock(&w->lock);
        while (!w->stopping) {
                TlsJob *job = queue_take(&w->begun) ?: queue_take(&w->new);

                if (!job) {
                        pthread_cond_wait(&w->changed, &w->lock);
                        continue;
                }

                job->state = TLS_JOB_RUNNING;
                pthread_mutex_unlock(&w->lock);

                job->run(job);

                pthread_mutex_lock(&w->lock);
                bool first = !w->done;
                DL_APPEND(w->done, job);
                job->state = TLS_JOB_DONE;
                if (first)
                        (void) eventfd_write(w->finished.fd, 1);
        }
        w->n_running--;
        bool last = w->left && w->n_running == 0;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);

        if (last)
                worker_free(w);
        return NULL;
}

static void finish(TlsWorker *w) {
        pthread_mutex_lock(&w->lock);
        TlsJob *done = TAKE_PTR(w->done);
        pthread_mutex_unlock(&w->lock);

        while (done) {
                TlsJob *job = done;

                DL_DELETE(done, job);
                job->state = TLS_JOB_IDLE;
                job->begun = true;
                job->done(job);
        }
}

static void on_finished(Watch *watch, _unused_ uint32_t events) {
        eventfd_t n;

        (void) eventfd_read(watch->fd, &n);
        finish(container_of(watch, TlsWorker, finished));
}

/* One for each processor: where thousands shake hands the event loop has little else to do, and what it has is done at
 * once, for it has slept. */
static unsigned count_threads(void) {
        cpu_set_t set;
        unsigned n = 1;

        if (sched_getaffinity(0, sizeof set, &set) >= 0)
                n = (unsigned) CPU_COUNT(&set);

        return MIN(n, THREADS_MAX);
}

static void start_threads(TlsWorker *w) {
        for (unsigned n = count_threads(); w->n_threads < n; w->n_threads++) {
                pthread_t *thread = &w->threads[w->n_threads];

                pthread_mutex_lock(&w->lock);
                w->n_running++;
                pthread_mutex_unlock(&w->lock);
                if (pthread_create(thread, NULL, run, w) != 0) {
                        pthread_mutex_lock(&w->lock);
                        w->n_running--;
                        pthread_mutex_unlock(&w->lock);
                        break;
                }
                (void) pthread_setname_np(*thread, "tls");
        }
}

int tls_worker_new(Poller *poller, TlsWorker **ret) {
        _cleanup_(tls_worker_freep) TlsWorker *w = calloc(1, sizeof(TlsWorker));
        if (!w)
                return -ENOMEM;

        w->poller = poller;
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->changed, NULL);
        w->finished = (Watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .handler = on_finished};
        if (w->finished.fd < 0)
                return -errno;

        int r = poller_watch(poller, &w->finished, EPOLLIN);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(w);
        return 0;
}

/* Returns: whether all threads have ended; if not, the worker is theirs. */
static bool worker_stop(TlsWorker *w) {
        usec_t until = now_monotonic() + TLS_WORKER_STOP_USEC;
        const struct timespec t = {
                .tv_sec = (time_t) (until / USEC_PER_SEC),
                .tv_nsec = (long) (until % USEC_PER_SEC * 1000),
        };

        pthread_mutex_lock(&w->lock);
        w->stopping = true;
        pthread_cond_broadcast(&w->changed);
        while (w->n_running > 0 && pthread_cond_clockwait(&w->changed, &w->lock, CLOCK_MONOTONIC, &t) == 0)
                ;
        bool stopped = w->n_running == 0;
        w->left = !stopped;
        for (unsigned i = 0; i < w->n_threads && !stopped; i++)
                thread_leave(w->threads[i]);
        pthread_mutex_unlock(&w->lock);

        for (unsigned i = 0; i < w->n_threads && stopped; i++)
                pthread_join(w->threads[i], NULL);
        return stopped;
}

TlsWorker *tls_worker_free(TlsWorker *w) {
        poller_forget(w->poller, &w->finished);
        if (!worker_stop(w)) {
                log_warning("A TLS handshake has not finished within %u s, exiting without it",
                            (unsigned) (TLS_WORKER_STOP_USEC / USEC_PER_SEC));
                return NULL;
        }

        finish(w);
        assert(w->begun.size == 0 && w->new.size == 0);
        worker_free(w);
        return NULL;
}

void tls_worker_submit(TlsWorker *w, TlsJob *job) {
        assert(job->state == TLS_JOB_IDLE);

        if (w->n_threads == 0)
                start_threads(w);
        if (w->n_threads == 0) { /* there is no other way, then */
                job->run(job);
                job->done(job);
                return;
        }

        pthread_mutex_lock(&w->lock);
        job->state = TLS_JOB_QUEUED;
        queue_add(worker_queue(w, job), job);
        pthread_cond_signal(&w->changed);
        pthread_mutex_unlock(&w->lock);
}

bool tls_worker_cancel(TlsWorker *w, TlsJob *job) {
        pthread_mutex_lock(&w->lock);
        bool queued = job->state == TLS_JOB_QUEUED;
        if (queued) {
                queue_remove(worker_queue(w, job), job);
                job->state = TLS_JOB_IDLE;
        }
        bool idle = job->state == TLS_JOB_IDLE;
        pthread_mutex_unlock(&w->lock);

        return idle;
}
