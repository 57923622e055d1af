/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hook-worker.h"
#include "hooks.h"

/* For tests: folders in place of the system's, separated by colons */
#define HOOKS_PATH_VARIABLE "VSPC_HOOKS_PATH"
#define HOOKS_PATH_MAX 8U

struct Hooks {
        Concentrator *concentrator;
        ConcentratorObserver observer;
        HookWorker *worker; /* NULL: there has been no hook so far */
        bool active;        /* there is a hook */
};

/* In the order of precedence. Not /run/vspc, which is the service's own: what it can write it must not run.
   */
static const char *const system_folders[] = {"/etc/vspc/hooks.d", "/usr/lib/vspc/hooks.d", NULL};

static const struct {
        bool told;
        HookEventType type;
} event_types[] = {
        [CONSOLE_ADDED] = {true, HOOK_VM_ADDED},
        [CONSOLE_CONNECTED] = {true, HOOK_VM_CONNECTED},
        [CONSOLE_DISCONNECTED] = {true, HOOK_VM_DISCONNECTED},
        [CONSOLE_RENAMED] = {true, HOOK_VM_RENAMED},
        [CONSOLE_REMOVED] = {true, HOOK_VM_REMOVED},
        [CONSOLE_VMOTION_COMPLETE] = {true, HOOK_VMOTION_COMPLETE},
};

static void hooks_notify(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                         _unused_ const Client *client) {
        Hooks *h = container_of(observer, Hooks, observer);
        HookEvent e;

        if (!h->active || event >= ELEMENTSOF(event_types) || !event_types[event].told)
                return;

        hook_event_init(&e, event_types[event].type, console);
        hook_worker_add(h->worker, &e);
}

static int load_list(HookList **ret) {
        const char *path = secure_getenv(HOOKS_PATH_VARIABLE), *folders[HOOKS_PATH_MAX + 1] = {};
        size_t n = 0;

        if (!path)
                return hook_list_load(system_folders, ret);

        _cleanup_free_ char *copy = strdup(path);
        if (!copy)
                return -ENOMEM;

        for (char *p = copy, *folder; n < HOOKS_PATH_MAX && (folder = strsep(&p, ":"));)
                if (*folder)
                        folders[n++] = folder;

        return hook_list_load(folders, ret);
}

static int hooks_load(Hooks *h, usec_t timeout) {
        _cleanup_(hook_list_unrefp) HookList *list = NULL;

        int r = load_list(&list);
        if (r < 0)
                return r;

        if (list->n > 0 && !h->worker) {
                r = hook_worker_new(&h->worker);
                if (r < 0)
                        return r;
        }

        if (h->worker)
                hook_worker_set(h->worker, list, timeout);

        h->active = list->n > 0;
        if (h->active)
                log_info("%zu %s told what happens to VMs", list->n, list->n == 1 ? "hook is" : "hooks are");
        return 0;
}

int hooks_new(Concentrator *concentrator, usec_t timeout, Hooks **ret) {
        _cleanup_(hooks_freep) Hooks *h = calloc(1, sizeof(Hooks));
        if (!h)
                return -ENOMEM;

        h->concentrator = concentrator;
        h->observer.notify = hooks_notify;
        concentrator_observe(concentrator, &h->observer);

        int r = hooks_load(h, timeout);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(h);
        return 0;
}

Hooks *hooks_free(Hooks *h) {
        concentrator_unobserve(h->concentrator, &h->observer);
        hook_worker_freep(&h->worker);
        free(h);
        return NULL;
}

void hooks_reload(Hooks *h, usec_t timeout) {
        int r = hooks_load(h, timeout);
        if (r < 0)
                log_error_errno(r, "Cannot look for hooks, they stay as they were: %m");
}
