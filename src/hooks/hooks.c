/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/timeout-queue.h"
#include "console/link.h"
#include "hook-list.h"
#include "hook-runner.h"
#include "hooks.h"

struct Hooks {
        Concentrator *concentrator;
        ConcentratorObserver observer;
        HookRunner *runner; /* NULL: there were no hooks so far */
};

/* Borrows the console's strings. */
static void event_init(HookEvent *e, ConsoleEvent type, const Console *console) {
        const Link *link = console_active_link(console);

        *e = (HookEvent){
                .type = type,
                .time_usec = concentrator_now_realtime(console->concentrator),
                .id = console->id,
                .name = console->name,
                .uri = console->uri,
                .port = console->port,
        };

        memcpy(e->uuid, console->uuid_text, sizeof e->uuid);
        if (type == CONSOLE_RENAMED)
                e->old_name = console->former_name;
        if (link && (type == CONSOLE_CONNECTED || type == CONSOLE_VMOTION_COMPLETE))
                memcpy(e->peer, link->record.peer, sizeof e->peer);
}

static void hooks_notify(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                         _unused_ const Client *client) {
        Hooks *h = container_of(observer, Hooks, observer);
        HookEvent e;

        if (!h->runner || !hook_event_type_to_string(event))
                return;

        event_init(&e, event, console);
        hook_runner_tell(h->runner, &e);
}

/* @any: there is one */
static int hooks_load(Hooks *h, usec_t timeout, bool any) {
        if (any && !h->runner) {
                int r = hook_runner_new(concentrator_event(h->concentrator), &h->runner);
                if (r < 0)
                        return r;
        }

        if (any)
                hook_runner_load(h->runner, timeout);
        else if (h->runner)
                hook_runner_rest(h->runner);
        return 0;
}

int hooks_new(Concentrator *concentrator, usec_t timeout, Hooks **ret) {
        _cleanup_(hooks_freep) Hooks *h = calloc(1, sizeof(Hooks));
        if (!h)
                return -ENOMEM;

        h->concentrator = concentrator;
        h->observer.notify = hooks_notify;
        concentrator_observe(concentrator, &h->observer);

        int r = hooks_load(h, timeout, hook_list_has_candidates());
        if (r < 0)
                return r;

        *ret = TAKE_PTR(h);
        return 0;
}

Hooks *hooks_free(Hooks *h) {
        concentrator_unobserve(h->concentrator, &h->observer);
        hook_runner_freep(&h->runner);
        free(h);
        return NULL;
}

void hooks_reload(Hooks *h, usec_t timeout, bool any) {
        int r = hooks_load(h, timeout, any);
        if (r < 0)
                log_error_errno(r, "Cannot look for hooks, keeping the previous ones: %m");
}
