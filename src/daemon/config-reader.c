/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "access-section.h"
#include "basic/signals.h"
#include "basic/timeout-queue.h"
#include "basic/worker.h"
#include "config-reader.h"
#include "hooks/hook-list.h"

/* How long to wait for a thread when vspcd ends */
#define STOP_USEC USEC_PER_SEC

/* Shared by the loop and the thread. If the thread takes too long, the loop abandons this, and the thread frees it. */
typedef struct Job {
        Worker thread;
        const char *path;
        Config before;
        TlsWorker *worker;     /* only passed on by the thread, as is ticket_key */
        TicketKey *ticket_key;
        int finished_fd;       /* an eventfd of the loop; must not be used after the thread was told to stop */
        Reading reading;
} Job;

struct ConfigReader {
        const char *path;
        TlsWorker *worker;
        TicketKey *ticket_key;
        usec_t duration;
        ReadingHandler handler;
        void *userdata;

        int finished_fd; /* an eventfd */
        sd_event_source *finished, *deadline;
        bool busy;
        Job *job; /* NULL: the thread could not be started */
        int error; /* why it could not be started */
};

static atomic_uint n_hanging;

void reading_done(Reading *r) {
        config_done(&r->config);
        tls_contexts_done(&r->contexts);
        problems_done(&r->problems);
}

static void job_free(Job *j) {
        worker_done(&j->thread);
        reading_done(&j->reading);
        config_done(&j->before);
        free(j);
}

/* Called in the thread: it may block. */
static void job_read(Job *j) {
        Reading *reading = &j->reading;
        Config *config = &reading->config;
        Problems *p = &reading->problems;

        config_init(config, p);
        int r = config_load(config, j->path, p);
        if (r >= 0)
                r = config_keep(config, &j->before, p);
        if (r < 0)
                problems_doubt(p, DOOR_NONE, "Cannot read %s: %s", j->path ?: "the configuration", config_strerror(r));
        else {
                access_resolve(&config->rights, p);
                access_advise(&config->rights, p);
                tls_contexts_load(&config->tls, &config->settings, j->worker, j->ticket_key, p, &reading->contexts);
        }

        reading->has_hooks = hook_list_has_candidates();
        reading->result = p->n_doubts > 0 ? -EINVAL : 0;
}

static void job_run(void *userdata) {
        Job *j = userdata;

        worker_unlock(&j->thread);
        job_read(j);
        worker_lock(&j->thread);
        if (!j->thread.stopping)
                (void) eventfd_write(j->finished_fd, 1);
}

static void job_orphaned(void *userdata) {
        job_free(userdata);
        n_hanging--;
}

/* Waits @usec for the thread to end. Returns: the job; NULL if the thread has not ended: then it is abandoned. */
static Job *reader_end_job(ConfigReader *r, usec_t usec) {
        Job *j = TAKE_PTR(r->job);

        n_hanging++;
        if (!worker_stop(&j->thread, usec, job_orphaned))
                return NULL;

        n_hanging--;
        return j;
}

static void reader_finish(ConfigReader *r, Reading *reading) {
        r->busy = false;
        (void) sd_event_source_set_enabled(r->deadline, SD_EVENT_OFF);
        r->handler(reading, r->userdata);
}

static void reader_fail(ConfigReader *r, int error, const char *why) {
        Reading reading = {.result = -EINVAL};

        problems_doubt(&reading.problems, DOOR_NONE, "Cannot read %s: %s", r->path ?: "the configuration", why ?: strerror(-error));
        reader_finish(r, &reading);
        reading_done(&reading);
}

/* Hands over what was read; or @error, if the thread has not finished or never started. */
static void reader_conclude(ConfigReader *r, int error, const char *why) {
        Job *j = r->job ? reader_end_job(r, 0) : NULL;

        if (j) {
                reader_finish(r, &j->reading);
                job_free(j);
        } else
                reader_fail(r, error, why);
}

/* The job's thread has written to the eventfd while it held the lock, and is about to end. */
static int on_finished(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        ConfigReader *r = userdata;
        eventfd_t n;

        if (eventfd_read(fd, &n) >= 0 && r->busy) /* otherwise on_deadline() has taken it */
                reader_conclude(r, r->error, r->error == -EBUSY ? "earlier reloads still wait for a file or a token" : NULL);
        return 0;
}

/* reader_conclude() takes the result if the thread has finished in the last moment. */
static int on_deadline(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        reader_conclude(userdata, -ETIMEDOUT, "a file or a token does not respond");
        return 0;
}

static int reader_start_job(ConfigReader *r, const Config *before) {
        if (n_hanging >= CONFIG_READER_HANGING_MAX)
                return -EBUSY;

        Job *j = calloc(1, sizeof(Job));
        if (!j)
                return -ENOMEM;

        j->thread = WORKER_INIT;
        j->path = r->path;
        j->worker = r->worker;
        j->ticket_key = r->ticket_key;
        j->finished_fd = r->finished_fd;

        int k = config_copy(before, &j->before);
        if (k >= 0)
                k = worker_start(&j->thread, "config", job_run, j);
        if (k < 0) {
                job_free(j);
                return k;
        }

        r->job = j;
        return 0;
}

void config_reader_begin(ConfigReader *r, const Config *before) {
        eventfd_t n;

        assert(!r->busy);

        /* The previous thread may have written at the last moment before its deadline. It cannot write any more. */
        (void) eventfd_read(r->finished_fd, &n);
        r->busy = true;
        r->error = reader_start_job(r, before);
        if (r->error < 0)
                (void) eventfd_write(r->finished_fd, 1); /* calls the handler from the loop in this case too */

        (void) sd_event_source_set_time(r->deadline, now_monotonic() + r->duration);
        (void) sd_event_source_set_enabled(r->deadline, SD_EVENT_ONESHOT);
}

bool config_reader_is_busy(const ConfigReader *r) {
        return r->busy;
}

int config_reader_new(sd_event *event, const char *path, TlsWorker *worker, TicketKey *ticket_key, usec_t duration,
                      ReadingHandler handler, void *userdata, ConfigReader **ret) {
        _cleanup_(config_reader_freep) ConfigReader *r = calloc(1, sizeof(ConfigReader));
        if (!r)
                return -ENOMEM;

        *r = (ConfigReader){
                .path = path,
                .worker = worker,
                .ticket_key = ticket_key,
                .duration = duration,
                .handler = handler,
                .userdata = userdata,
                .finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        };
        if (r->finished_fd < 0)
                return -errno;

        int k = sd_event_add_io(event, &r->finished, r->finished_fd, EPOLLIN, on_finished, r);
        if (k >= 0)
                k = sd_event_add_time(event, &r->deadline, CLOCK_MONOTONIC, 0, USEC_PER_SEC, on_deadline, r);
        if (k >= 0)
                k = sd_event_source_set_enabled(r->deadline, SD_EVENT_OFF);
        if (k < 0)
                return k;

        *ret = TAKE_PTR(r);
        return 0;
}

ConfigReader *config_reader_free(ConfigReader *r) {
        Job *j = r->job ? reader_end_job(r, STOP_USEC) : NULL;
        if (j)
                job_free(j);

        sd_event_source_disable_unref(r->finished);
        sd_event_source_disable_unref(r->deadline);
        safe_close(r->finished_fd);
        free(r);
        return NULL;
}
