/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/eventfd.h>
#include <utlist.h>

#include "console/console.h"
#include "restore.h"
#include "store.h"
#include "write-queue.h"

struct Store {
        Concentrator *concentrator;
        ConcentratorObserver observer;
        WriteQueue *queue;
        bool restoring;

        /* VMs that were connected when they were stored, and have not connected since */
        char **missed; /* IDs */
        size_t n_missed, n_allocated;
        sd_event_source *return_timer;

        StoreHandler changed;
        void *userdata;
        sd_event_source *news; /* of the queue's errors */
};

static void store_put(Store *s, const Console *console) {
        Mapping mapping = {
                .id = console->id,
                .uri = console->uri,
                .name = console->name,
                .port = console->record.own_port,
                .gone_since = console_gone_since(console),
                .stored = concentrator_now_realtime(s->concentrator),
        };

        memcpy(mapping.uuid, console->record.uuid, sizeof mapping.uuid);
        if (write_queue_put(s->queue, &mapping) < 0)
                log_error("No memory to store that VM %s (%s) has port %u", console->name, console->id,
                          console->record.own_port);
}

static void store_notify(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                         _unused_ const Client *client) {
        Store *s = container_of(observer, Store, observer);

        /* Restored VMs are already stored. Only a VM that is removed during the restore, because there are
         * too many, is a change. */
        if (s->restoring && event != CONSOLE_REMOVED)
                return;

        switch (event) {

        case CONSOLE_CONNECTED: /* a new VM is stored at once; a known VM may have a new port or another URI */
        case CONSOLE_DISCONNECTED:
        case CONSOLE_RENAMED:
        case CONSOLE_CHANGED:
                store_put(s, console);
                break;

        case CONSOLE_CLIENT_ATTACHED: /* a VM that is away does not expire while clients are connected */
        case CONSOLE_CLIENT_DETACHED:
                if (!console->connected)
                        store_put(s, console);
                break;

        case CONSOLE_REMOVED:
                write_queue_remove(s->queue, console->id);
                break;

        default:
                break;
        }
}

static int on_news(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, void *userdata) {
        Store *s = userdata;
        eventfd_t ignored;

        (void) eventfd_read(fd, &ignored);
        s->changed(s->userdata);
        return 0;
}

static int add_missed(Store *s, const char *id) {
        if (s->n_missed == s->n_allocated) {
                size_t allocated = MAX(2 * s->n_allocated, (size_t) 256);
                char **grown = reallocarray(s->missed, allocated, sizeof(char *));
                if (!grown)
                        return -ENOMEM;

                s->missed = grown;
                s->n_allocated = allocated;
        }

        char *copy = strdup(id);
        if (!copy)
                return -ENOMEM;

        s->missed[s->n_missed++] = copy;
        return 0;
}

/* Store VMs that have not come back as away, so that they expire even if more restarts follow. */
static void put_missed(Store *s) {
        for (size_t i = 0; i < s->n_missed; i++) {
                const Console *console = concentrator_find(s->concentrator, s->missed[i]);

                if (console && !console->connected)
                        store_put(s, console);
                free(s->missed[i]);
        }

        s->n_missed = 0;
        free(TAKE_PTR(s->missed));
}

static int on_return_elapsed(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        put_missed(userdata);
        return 0;
}

/* Store a port that is different from the stored one, so that it is the same after the next restart. */
static void on_restored(Console *console, const Mapping *mapping, void *userdata) {
        if (console->record.own_port != mapping->port ||
            (mapping->gone_since == 0 && add_missed(userdata, console->id) < 0))
                store_put(userdata, console);
}

int store_new(const StoreBackend *backend, const char *argument, Concentrator *concentrator, StoreHandler changed,
              void *userdata, Store **ret) {
        _cleanup_(store_freep) Store *s = calloc(1, sizeof(Store));
        void *state = NULL;

        if (!s)
                return log_error_errno(ENOMEM, "Cannot open Backend=%s: %m", backend->name);

        s->concentrator = concentrator;
        s->changed = changed;
        s->userdata = userdata;

        int r = backend->open(argument, &state);
        if (r < 0)
                return log_error_errno(r, "Cannot open Backend=%s: %m", backend->name);

        r = write_queue_new(backend, state, &s->queue);
        if (r < 0) {
                backend->close(state);
                return log_error_errno(r, "Cannot open Backend=%s: %m", backend->name);
        }

        s->observer.notify = store_notify;
        concentrator_observe(concentrator, &s->observer);

        s->restoring = true;
        r = restore(concentrator, backend, state, on_restored, s);
        s->restoring = false;
        if (r < 0)
                return log_error_errno(r, "Cannot load what Backend=%s has stored: %m", backend->name);

        r = sd_event_add_time_relative(concentrator_event(concentrator), &s->return_timer, CLOCK_MONOTONIC,
                                       STORE_RETURN_SEC * USEC_PER_SEC, USEC_PER_SEC, on_return_elapsed, s);
        if (r >= 0)
                r = sd_event_add_io(concentrator_event(concentrator), &s->news, write_queue_news_fd(s->queue), EPOLLIN, on_news, s);
        if (r >= 0)
                r = write_queue_start(s->queue);
        if (r < 0)
                return log_error_errno(r, "Cannot write to Backend=%s: %m", backend->name);

        *ret = TAKE_PTR(s);
        return 0;
}

Store *store_free(Store *s) {
        if (s->observer.notify)
                concentrator_unobserve(s->concentrator, &s->observer);
        put_missed(s);
        sd_event_source_disable_unref(s->return_timer);
        sd_event_source_disable_unref(s->news);
        write_queue_freep(&s->queue);
        free(s);
        return NULL;
}

int store_error(Store *s) {
        return write_queue_error(s->queue);
}
