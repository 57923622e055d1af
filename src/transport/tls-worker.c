/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <utlist.h>

#include "basic/log.h"
#include "basic/worker.h"
#include "tls-worker.h"

/* The event loop has precedence over these threads: people do not notice if a connection is made a little later, but if a key is
 * echoed later. The sandbox of vspc.service does not allow this; there the kernel divides processors evenly. */
#define THREAD_NICE 5

/* Sources with the same hash modulo this share one turn. */
#define BUCKETS 256U

/* Jobs that wait */
typedef struct Queue {
        TlsJob *buckets[BUCKETS]; /* utlist */
        unsigned next;            /* the bucket whose turn is next */
        size_t size;
} Queue;

struct TlsWorker {
        Poller *poller;
        Watch finished; /* an eventfd: there is something in `done` */

        Worker worker;
        Queue begun, new;
        TlsJob *done; /* utlist */
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

/* Returns: NULL if the queue is empty. */
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

static void free_all(void *userdata) {
        TlsWorker *w = userdata;

        safe_close(w->finished.fd);
        worker_done(&w->worker);
        free(w);
}

static void run(void *userdata) {
        TlsWorker *w = userdata;

        (void) setpriority(PRIO_PROCESS, (id_t) gettid(), THREAD_NICE);

        while (!w->worker.stopping) {
                TlsJob *job = queue_take(&w->begun) ?: queue_take(&w->new);

                if (!job) {
                        (void) worker_wait_until(&w->worker, USEC_INFINITY);
                        continue;
                }

                job->state = TLS_JOB_RUNNING;
                worker_unlock(&w->worker);

                job->run(job);

                worker_lock(&w->worker);
                bool first = !w->done;
                DL_APPEND(w->done, job);
                job->state = TLS_JOB_DONE;
                if (first)
                        (void) eventfd_write(w->finished.fd, 1);
        }
}

static void finish(TlsWorker *w) {
        worker_lock(&w->worker);
        TlsJob *done = TAKE_PTR(w->done);
        worker_unlock(&w->worker);

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

/* Returns: the number of processors. During thousands of handshakes, the event loop has little to do, and the kernel prefers a
 * thread that has slept, so no processor needs to be reserved for it. */
static unsigned count_threads(void) {
        cpu_set_t set;
        unsigned n = 1;

        if (sched_getaffinity(0, sizeof set, &set) >= 0)
                n = (unsigned) CPU_COUNT(&set);

        return MIN(n, WORKER_THREADS_MAX);
}

static void start_threads(TlsWorker *w) {
        for (unsigned n = count_threads(); n > 0; n--)
                if (worker_start(&w->worker, "tls", run, w) < 0)
                        break;
}

int tls_worker_new(Poller *poller, TlsWorker **ret) {
        _cleanup_(tls_worker_freep) TlsWorker *w = calloc(1, sizeof(TlsWorker));
        if (!w)
                return -ENOMEM;

        w->poller = poller;
        w->worker = WORKER_INIT;
        w->finished = (Watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .handler = on_finished};
        if (w->finished.fd < 0)
                return -errno;

        int r = poller_watch(poller, &w->finished, EPOLLIN);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(w);
        return 0;
}

TlsWorker *tls_worker_free(TlsWorker *w) {
        poller_forget(w->poller, &w->finished);
        if (!worker_stop(&w->worker, TLS_WORKER_STOP_USEC, free_all)) {
                log_warning("A TLS handshake has not finished within %u s, exiting without it",
                            (unsigned) (TLS_WORKER_STOP_USEC / USEC_PER_SEC));
                return NULL;
        }

        finish(w);
        assert(w->begun.size == 0 && w->new.size == 0);
        free_all(w);
        return NULL;
}

void tls_worker_submit(TlsWorker *w, TlsJob *job) {
        assert(job->state == TLS_JOB_IDLE);

        if (w->worker.n_threads == 0)
                start_threads(w);
        if (w->worker.n_threads == 0) { /* run it here instead */
                job->run(job);
                job->done(job);
                return;
        }

        worker_lock(&w->worker);
        job->state = TLS_JOB_QUEUED;
        queue_add(worker_queue(w, job), job);
        worker_wake_one(&w->worker);
        worker_unlock(&w->worker);
}

bool tls_worker_cancel(TlsWorker *w, TlsJob *job) {
        worker_lock(&w->worker);
        bool queued = job->state == TLS_JOB_QUEUED;
        if (queued) {
                queue_remove(worker_queue(w, job), job);
                job->state = TLS_JOB_IDLE;
        }
        bool idle = job->state == TLS_JOB_IDLE;
        worker_unlock(&w->worker);

        return idle;
}
