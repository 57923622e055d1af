/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#include "console/message.h"
#include "hook-process.h"
#include "hook-worker.h"

/* Beyond HOOK_WORKER_STOP_USEC, for what has been killed to be gone */
#define JOIN_EXTRA_SEC 1

/* One event on its way through the hooks */
typedef struct HookJob {
        HookWorker *worker;
        bool taken;
        HookEvent event;
        HookList *list;
        size_t next; /* of the list */
        usec_t timeout;
        char **environment;
        char *json;
        HookProcess process;
} HookJob;

struct HookWorker {
        pthread_t thread;
        pthread_mutex_t lock;
        int wakeup; /* eventfd */

        /* Of both threads, under the lock */
        HookQueue queue;
        HookList *list;
        usec_t timeout;
        bool hungry;   /* it has found nothing to do, and is to be woken */
        bool stopping;

        /* Of the worker alone */
        sd_event *loop;
        sd_event_source *wakeup_source, *report_timer, *stop_timer;
        char **base_environment;
        HookLog log;
        usec_t reported; /* CLOCK_MONOTONIC; 0: never */
        HookJob jobs[HOOK_WORKER_JOBS];
};

/* Returns: whether there is an event for @job. */
static bool worker_take(HookWorker *w, HookJob *job) {
        pthread_mutex_lock(&w->lock);

        job->taken = !w->stopping && hook_queue_take(&w->queue, &job->event) > 0;
        if (job->taken) {
                job->list = hook_list_ref(w->list);
                job->timeout = w->timeout;
        } else
                w->hungry = true;

        pthread_mutex_unlock(&w->lock);
        return job->taken;
}

static void job_end(HookJob *job) {
        HookWorker *w = job->worker;

        pthread_mutex_lock(&w->lock);
        hook_queue_done(&w->queue, &job->event);
        pthread_mutex_unlock(&w->lock);

        hook_list_unref(job->list);
        strings_free(job->environment);
        free(job->json);
        *job = (HookJob){.worker = w};
}

static bool job_prepare(HookJob *job) {
        job->environment = hook_event_environment(&job->event, job->worker->base_environment);
        job->json = hook_event_json(&job->event);
        if (job->environment && job->json)
                return true;

        log_error("No memory to run hooks for %s of VM %s", hook_event_type_to_string(job->event.type),
                  job->event.name);
        return false;
}

static void on_process_ended(HookProcess *p);

/* Starts the next hook; ends the job if there is none. */
static void job_advance(HookJob *job) {
        HookWorker *w = job->worker;

        while (job->next < job->list->n && !w->stop_timer) {
                const HookCommand command = {
                        .path = job->list->paths[job->next++],
                        .environment = job->environment,
                        .json = job->json,
                        .event = &job->event,
                        .timeout = job->timeout,
                        .log = &w->log,
                };

                int r = hook_process_start(&job->process, w->loop, &command, on_process_ended);
                if (r >= 0)
                        return;

                hook_log_failure(&w->log, r, command.path, &job->event, "cannot run %s: %m", command.path);
        }

        job_end(job);
}

static bool worker_is_busy(const HookWorker *w) {
        for (size_t i = 0; i < ELEMENTSOF(w->jobs); i++)
                if (w->jobs[i].taken)
                        return true;

        return false;
}

static bool worker_has_report(HookWorker *w) {
        pthread_mutex_lock(&w->lock);
        bool has = w->queue.n_merged > 0 || w->queue.n_dropped > 0;
        pthread_mutex_unlock(&w->lock);

        return has || w->log.n_left_out > 0;
}

/* Says what hooks have not been told, and what of them has not been logged. */
static void worker_report(HookWorker *w) {
        pthread_mutex_lock(&w->lock);
        uint64_t n_merged = TAKE(w->queue.n_merged, 0), n_dropped = TAKE(w->queue.n_dropped, 0);
        pthread_mutex_unlock(&w->lock);

        w->reported = event_now(w->loop);
        hook_log_report(&w->log);
        if (n_merged > 0 || n_dropped > 0)
                log_full(n_dropped > 0 ? LOG_WARNING : LOG_NOTICE, 0,
                         &(LogFields){.message_id = VSPC_MESSAGE_HOOKS_BEHIND},
                         "Hooks have caught up: of what happened to VMs meanwhile %" PRIu64
                         " events were merged into later ones, and %" PRIu64 " dropped",
                         n_merged, n_dropped);
}

static int on_report(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        worker_report(userdata);
        return 0;
}

/* There is nothing left to tell. A VM that comes and goes all the time must not fill the log with that. */
static void worker_settle(HookWorker *w) {
        usec_t next = w->reported + HOOK_LOG_INTERVAL_USEC;

        if (worker_has_report(w)) {
                if (w->reported == 0 || event_now(w->loop) >= next || w->stop_timer)
                        worker_report(w);
                else {
                        (void) sd_event_source_set_time(w->report_timer, next);
                        (void) sd_event_source_set_enabled(w->report_timer, SD_EVENT_ONESHOT);
                }
        }

        if (w->stop_timer)
                (void) sd_event_exit(w->loop, 0);
}

/* Tells of as many events as there are jobs. */
static void worker_run(HookWorker *w) {
        for (size_t i = 0; i < ELEMENTSOF(w->jobs); i++) {
                HookJob *job = &w->jobs[i];

                while (!job->taken && worker_take(w, job)) {
                        if (job_prepare(job))
                                job_advance(job);
                        else
                                job_end(job);
                }
        }

        if (!worker_is_busy(w))
                worker_settle(w);
}

static void on_process_ended(HookProcess *p) {
        HookJob *job = container_of(p, HookJob, process);

        job_advance(job);
        worker_run(job->worker);
}

static int on_stop_elapsed(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        HookWorker *w = userdata;

        for (size_t i = 0; i < ELEMENTSOF(w->jobs); i++) {
                HookJob *job = &w->jobs[i];

                if (!job->taken)
                        continue;
                const char *path = job->process.output.path;
                hook_log_failure(&w->log, 0, path, &job->event, "%s has not ended with vspcd, killing it",
                                 path);
                hook_process_kill(&job->process);
        }

        return 0;
}

static int on_wakeup(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        HookWorker *w = userdata;
        uint64_t n;

        (void) !read(fd, &n, sizeof n);

        pthread_mutex_lock(&w->lock);
        bool stopping = w->stopping;
        pthread_mutex_unlock(&w->lock);

        if (stopping && !w->stop_timer) {
                int r = sd_event_add_time_relative(w->loop, &w->stop_timer, CLOCK_MONOTONIC,
                                                   HOOK_WORKER_STOP_USEC, 0, on_stop_elapsed, w);
                if (r < 0)
                        return r; /* ends the loop */
        }

        worker_run(w);
        return 0;
}

static void *worker(void *userdata) {
        HookWorker *w = userdata;

        int r = sd_event_loop(w->loop);
        if (r < 0)
                log_error_errno(r, "The loop that runs hooks has failed, none is run any more: %m");

        return NULL;
}

static void worker_wake(HookWorker *w) {
        (void) !write(w->wakeup, &(uint64_t){1}, sizeof(uint64_t));
}

static void worker_done(HookWorker *w) {
        hook_queue_clear(&w->queue);
        if (w->list)
                hook_list_unref(w->list);
        sd_event_source_disable_unref(w->wakeup_source);
        sd_event_source_disable_unref(w->report_timer);
        sd_event_source_disable_unref(w->stop_timer);
        sd_event_unref(w->loop);
        safe_close(w->wakeup);
        strings_free(w->base_environment);
        pthread_mutex_destroy(&w->lock);
        free(w);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(HookWorker *, worker_done);

int hook_worker_new(HookWorker **ret) {
        _cleanup_(worker_donep) HookWorker *w = calloc(1, sizeof(HookWorker));
        if (!w)
                return -ENOMEM;

        pthread_mutex_init(&w->lock, NULL);
        for (size_t i = 0; i < ELEMENTSOF(w->jobs); i++)
                w->jobs[i].worker = w;

        w->hungry = true;
        w->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->wakeup < 0)
                return -errno;

        w->base_environment = hook_base_environment();
        if (!w->base_environment)
                return -ENOMEM;

        int r = sd_event_new(&w->loop);
        if (r < 0)
                return r;

        r = sd_event_add_io(w->loop, &w->wakeup_source, w->wakeup, EPOLLIN, on_wakeup, w);
        if (r < 0)
                return r;

        r = sd_event_add_time(w->loop, &w->report_timer, CLOCK_MONOTONIC, 0, 0, on_report, w);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(w->report_timer, SD_EVENT_OFF);

        r = pthread_create(&w->thread, NULL, worker, w);
        if (r != 0)
                return -r;

        (void) pthread_setname_np(w->thread, "vspcd-hooks");
        *ret = TAKE_PTR(w);
        return 0;
}

HookWorker *hook_worker_free(HookWorker *w) {
        struct timespec until;

        pthread_mutex_lock(&w->lock);
        size_t n = w->queue.n_pending;
        hook_queue_clear(&w->queue);
        w->stopping = true;
        pthread_mutex_unlock(&w->lock);

        if (n > 0)
                log_notice("Ending before hooks could be told of %zu %s", n, n == 1 ? "event" : "events");

        worker_wake(w);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += HOOK_WORKER_STOP_USEC / USEC_PER_SEC + JOIN_EXTRA_SEC;
        if (pthread_timedjoin_np(w->thread, NULL, &until) == 0)
                worker_done(w);
        else
                log_warning("A hook cannot be ended, leaving it behind");

        return NULL;
}

void hook_worker_set(HookWorker *w, HookList *list, usec_t timeout) {
        pthread_mutex_lock(&w->lock);
        HookList *old = w->list;
        w->list = hook_list_ref(list);
        w->timeout = timeout;
        pthread_mutex_unlock(&w->lock);

        if (old)
                hook_list_unref(old);
}

void hook_worker_add(HookWorker *w, const HookEvent *event) {
        pthread_mutex_lock(&w->lock);
        int r = hook_queue_add(&w->queue, event);
        bool first_dropped = r < 0 && w->queue.n_dropped == 1, hungry = TAKE(w->hungry, false);
        pthread_mutex_unlock(&w->lock);

        if (hungry)
                worker_wake(w);
        if (first_dropped)
                log_full(LOG_WARNING, r, &(LogFields){.message_id = VSPC_MESSAGE_HOOKS_BEHIND},
                         "Hooks are too slow, and miss events of VMs until they have caught up: %m");
}
