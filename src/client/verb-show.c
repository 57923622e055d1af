/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "inventory.h"
#include "show.h"
#include "verbs.h"

/* Prints all VMs of that name. */
static int show(Connection *c, const char *name, const Arguments *a) {
        static bool shown = false;
        _cleanup_reply_ VarlinkReply refusal = {};
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch(c, name, INVENTORY_MAX, &vms, &refusal);
        if (r < 0)
                return verb_failed(c, r);
        if (refusal.error)
                return verb_refused(c, &refusal, name);
        if (json_array_size(vms) == 0)
                return verb_refuse_unknown(c, name);

        for (size_t i = 0; i < json_array_size(vms); i++) {
                const json_t *vm = json_array_get(vms, i);

                if (a->json != JSON_OFF) {
                        r = verb_print_json(vm, a->json);
                        if (r < 0)
                                return r;
                        continue;
                }

                if (shown)
                        putchar('\n');
                shown = true;
                show_vm(stdout, vm, connection_users(c));
        }

        return 0;
}

int verb_show(const Arguments *a) {
        return verb_for_each(a, show);
}
