/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/eventfd.h>
#include <time.h>
#include <utlist.h>

#include "basic/hash-table.h"
#include "basic/log.h"
#include "basic/worker.h"
#include "store.h"
#include "write-queue.h"

/* The number of entries that are written before the lock is taken again */
#define BATCH_MAX 64U

typedef struct Entry {
        UT_hash_handle handle; /* by mapping->id */
        struct Entry *prev, *next;
        Mapping *mapping;
        bool removal;
        bool failed; /* the last time it was written */
} Entry;

struct WriteQueue {
        const VspcBackend *backend;
        void *state;
        int news_fd;

        Worker worker; /* ends when the queue is empty; while stopping it tries nothing twice */

        Entry *entries; /* uthash */
        Entry *queue;   /* utlist: the same entries, in the order of their first change */
        size_t n_removals, n_failed;
        uint64_t n_removals_dropped;

        Entry *written; /* utlist: being written, or written and not synced, latest first. Of the thread */
        size_t n_written;
        usec_t next_sync_usec;

        unsigned n_lost; /* entries not written while exiting, or lost because memory was short */
        int error;
};

static void entry_free(Entry *e) {
        free(e->mapping);
        free(e);
}

static Entry *entry_new(const Mapping *mapping, bool removal) {
        Entry *e = calloc(1, sizeof(Entry));
        if (!e)
                return NULL;

        e->removal = removal;
        e->mapping = mapping_dup(mapping);
        if (!e->mapping) {
                free(e);
                return NULL;
        }

        return e;
}

static void queue_unlink(WriteQueue *q, Entry *e) {
        HASH_REMOVE(handle, q->entries, e);
        DL_DELETE(q->queue, e);
        q->n_removals -= e->removal;
        q->n_failed -= e->failed;
}

/* Takes over @e if it succeeds, and inserts it before @next, or at the end if @next is NULL. Returns: 0 or -ENOMEM. */
static int queue_link(WriteQueue *q, Entry *e, Entry *next) {
        int r = HASH_TRY_ADD(handle, q->entries, e->mapping->id, strlen(e->mapping->id), e);
        if (r < 0)
                return r;

        DL_PREPEND_ELEM(q->queue, next, e);
        q->n_removals += e->removal;
        q->n_failed += e->failed;
        return 0;
}

static Entry *queue_find(WriteQueue *q, const char *id) {
        Entry *e;

        HASH_FIND(handle, q->entries, id, strlen(id), e);
        return e;
}

/* Replaces the waiting entry of the same VM: VMs that change often must not delay others. Takes over @e in any case.
 * Returns: 0 or -ENOMEM. */
static int queue_add(WriteQueue *q, Entry *e) {
        Entry *next = NULL;
        int r = 0;

        worker_lock(&q->worker);

        Entry *old = queue_find(q, e->mapping->id);
        if (old) {
                next = old->next;
                queue_unlink(q, old);
                entry_free(old);
        }

        bool drop = e->removal && q->n_removals >= STORE_REMOVALS_MAX;
        if (!drop)
                r = queue_link(q, e, next);
        if (drop || (r < 0 && e->removal))
                q->n_removals_dropped++;
        if (drop || r < 0)
                entry_free(e);

        worker_wake(&q->worker);
        worker_unlock(&q->worker);
        return r;
}

int write_queue_put(WriteQueue *q, const Mapping *mapping) {
        Entry *e = entry_new(mapping, false);
        return e ? queue_add(q, e) : -ENOMEM;
}

void write_queue_remove(WriteQueue *q, const char *id) {
        Entry *e = entry_new(&(Mapping){.id = id, .uri = "", .name = ""}, true);

        /* If memory is short, the VM stays stored and expires after the next start. */
        if (e)
                (void) queue_add(q, e);
}

/* An entry that could not be written is queued again at the end, unless there is a newer one. */
static void queue_return(WriteQueue *q, Entry *e) {
        bool newer = queue_find(q, e->mapping->id);

        e->failed = true;
        if (!newer && !q->worker.stopping && queue_link(q, e, NULL) >= 0)
                return;

        q->n_lost += !newer;
        entry_free(e);
}

static int entry_write(const VspcBackend *b, void *state, const Entry *e) {
        int r = e->removal ? b->remove(state, e->mapping->id) : b->put(state, e->mapping);

        return e->removal && r == -ENOENT ? 0 : MIN(r, 0);
}

/* An entry that cannot be written does not prevent others from being written. Returns: 0, or the first error. */
static int queue_write(WriteQueue *q) {
        Entry *batch[BATCH_MAX];
        size_t n = 0;
        int error = 0;

        while (q->queue && n < BATCH_MAX) {
                batch[n++] = q->queue;
                queue_unlink(q, q->queue);
        }
        q->n_written += n;

        worker_unlock(&q->worker);
        for (size_t i = 0; i < n; i++) {
                int r = entry_write(q->backend, q->state, batch[i]);

                batch[i]->failed = r < 0;
                error = error ?: r;
        }
        worker_lock(&q->worker);

        for (size_t i = 0; i < n; i++)
                if (batch[i]->failed) {
                        queue_return(q, batch[i]);
                        q->n_written--;
                } else
                        DL_PREPEND(q->written, batch[i]);

        return error;
}

static bool queue_is_sync_due(const WriteQueue *q) {
        if (!q->written)
                return false;

        return !q->backend->sync || q->n_written >= STORE_WRITTEN_MAX ||
               now_monotonic() >= q->next_sync_usec || (q->worker.stopping && !q->queue);
}

/* Returns: 0; or a negative errno, and everything written since the last sync must be written again. */
static int queue_sync(WriteQueue *q) {
        Entry *e, *next;
        int r = 0;

        q->next_sync_usec = now_monotonic() + STORE_SYNC_USEC;

        /* There may be many of them, and nobody else uses them: free them without the lock. */
        worker_unlock(&q->worker);
        if (q->backend->sync)
                r = MIN(q->backend->sync(q->state), 0);
        if (r >= 0)
                DL_FOREACH_SAFE(q->written, e, next)
                        entry_free(e);
        worker_lock(&q->worker);

        if (r < 0)
                DL_FOREACH_SAFE(q->written, e, next)
                        queue_return(q, e);
        q->written = NULL;
        q->n_written = 0;

        return r;
}

static void queue_set_error(WriteQueue *q, int error) {
        int before = TAKE(q->error, error);

        if (error == before)
                return;

        if (error < 0)
                log_error_errno(error,
                                "Backend=%s cannot store the VMs and their ports, continuing from memory and trying "
                                "again: %m",
                                q->backend->name);
        else
                log_notice("Backend=%s stores the VMs and their ports again", q->backend->name);
        (void) eventfd_write(q->news_fd, 1);
}

static void queue_report_dropped(WriteQueue *q) {
        uint64_t n = TAKE(q->n_removals_dropped, 0);

        if (n > 0)
                log_warning("%llu VMs that are gone could not be removed from Backend=%s; they expire after the next "
                            "start",
                            (unsigned long long) n, q->backend->name);
}

/* Waits until something must be written or synced, or the thread must end. */
static void queue_wait(WriteQueue *q) {
        while (!q->queue && !q->worker.stopping)
                if (!worker_wait_until(&q->worker, q->written ? q->next_sync_usec : USEC_INFINITY))
                        break;
}

static void queue_wait_to_retry(WriteQueue *q, unsigned seconds) {
        usec_t until = now_monotonic() + seconds * USEC_PER_SEC;

        while (!q->worker.stopping && worker_wait_until(&q->worker, until))
                ;
}

static void queue_rest(WriteQueue *q) {
        if (q->worker.stopping)
                return;

        worker_unlock(&q->worker);
        nanosleep(&(struct timespec){.tv_nsec = STORE_BATCH_PAUSE_USEC * 1000}, NULL);
        worker_lock(&q->worker);
}

static void run(void *userdata) {
        WriteQueue *q = userdata;
        unsigned retry_sec = 1;

        for (;;) {
                queue_wait(q);
                if (!q->queue && !q->written)
                        break;

                bool takes_all = HASH_CNT(handle, q->entries) <= BATCH_MAX;
                int r = queue_write(q);
                if (queue_is_sync_due(q) || (r < 0 && q->written)) { /* the other entries do not wait for the failed one */
                        int synced = queue_sync(q);

                        r = r ?: synced;
                        if (r >= 0 && q->n_failed == 0) { /* otherwise some must be tried again */
                                queue_set_error(q, 0);
                                queue_report_dropped(q);
                                retry_sec = 1;
                        }
                }

                if (r < 0) {
                        queue_set_error(q, r);
                        queue_wait_to_retry(q, retry_sec);
                        retry_sec = MIN(2 * retry_sec, STORE_RETRY_MAX_SEC);
                } else if (takes_all)
                        queue_rest(q);
        }

        if (q->n_lost > 0)
                log_error("Changes of %u VMs could not be stored by Backend=%s", q->n_lost,
                          q->backend->name);

        worker_unlock(&q->worker);
        q->backend->close(q->state);
        worker_lock(&q->worker);
}

int write_queue_new(const VspcBackend *backend, void *state, WriteQueue **ret) {
        _cleanup_free_ WriteQueue *q = calloc(1, sizeof(WriteQueue));
        if (!q)
                return -ENOMEM;

        q->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (q->news_fd < 0)
                return -errno;

        q->worker = WORKER_INIT;
        q->backend = backend;
        q->state = state;
        *ret = TAKE_PTR(q);
        return 0;
}

int write_queue_start(WriteQueue *q) {
        return worker_start(&q->worker, "store", run, q);
}

static void queue_report_left(WriteQueue *q) {
        worker_lock(&q->worker);
        size_t n = HASH_CNT(handle, q->entries) + q->n_written;
        worker_unlock(&q->worker);

        log_error("Backend=%s has not stored %zu changes within %u s, ending without it", q->backend->name, n,
                  STORE_STOP_SEC);
}

WriteQueue *write_queue_free(WriteQueue *q) {
        Entry *e, *next;

        if (q->worker.n_threads == 0)
                q->backend->close(q->state);
        else if (!worker_stop(&q->worker, STORE_STOP_SEC * USEC_PER_SEC, NULL)) {
                /* The thread is blocked in the backend. It ends with the process, and so does the memory that it
                 * uses. */
                queue_report_left(q);
                return NULL;
        }

        DL_FOREACH_SAFE(q->queue, e, next) {
                queue_unlink(q, e);
                entry_free(e);
        }

        safe_close(q->news_fd);
        worker_done(&q->worker);
        free(q);
        return NULL;
}

int write_queue_error(WriteQueue *q) {
        worker_lock(&q->worker);
        int error = q->error;
        worker_unlock(&q->worker);

        return error;
}

int write_queue_news_fd(const WriteQueue *q) {
        return q->news_fd;
}
