/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console/console.h"
#include "store.h"

struct Store {
        const StoreBackend *backend;
        void *state;
        Concentrator *concentrator;
        ConcentratorObserver observer;
};

static const StoreBackend *const backends[] = {
        &store_memory,
};

const StoreBackend *store_find_backend(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(backends); i++)
                if (streq(backends[i]->name, name))
                        return backends[i];

        return NULL;
}

static int store_put(Store *s, const Console *console) {
        Mapping mapping = {
                .id = console->id,
                .uri = console->uri,
                .name = console->name,
                .port = console->port,
        };

        memcpy(mapping.uuid, console->uuid, sizeof mapping.uuid);
        return s->backend->put(s->state, &mapping);
}

static void store_notify(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                         _unused_ const Client *client) {
        Store *s = container_of(observer, Store, observer);
        int r = 0;

        switch (event) {

        case CONSOLE_ADDED:
        case CONSOLE_CONNECTED: /* it may have got a port, or another URI */
        case CONSOLE_RENAMED:
                r = store_put(s, console);
                break;

        case CONSOLE_REMOVED:
                r = s->backend->remove(s->state, console->id);
                break;

        default:
                break;
        }

        if (r < 0)
                log_error_errno(r, "Backend=%s cannot store VM %s (%s): %m", s->backend->name, console->name,
                                console->id);
}

int store_new(const StoreBackend *backend, Concentrator *concentrator, Store **ret) {
        _cleanup_free_ Store *s = calloc(1, sizeof(Store));
        if (!s)
                return -ENOMEM;

        int r = backend->open(&s->state);
        if (r < 0)
                return r;

        s->backend = backend;
        s->concentrator = concentrator;
        s->observer.notify = store_notify;
        concentrator_observe(concentrator, &s->observer);

        *ret = TAKE_PTR(s);
        return 0;
}

Store *store_free(Store *s) {
        concentrator_unobserve(s->concentrator, &s->observer);
        s->backend->close(s->state);
        free(s);
        return NULL;
}

int store_load(Store *s, MappingHandler handler, void *userdata) {
        return s->backend->load(s->state, handler, userdata);
}
