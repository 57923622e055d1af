/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "inventory.h"
#include "verbs.h"
#include "vm.h"

/* clear and forget: what is done to a VM. It is acknowledged with its name, however it was named: so that is asked for
 * first. */
static int do_to(Connection *c, const char *wanted, const char *method, json_t **ret_vm, VarlinkReply *ret_reply) {
        _cleanup_reply_ VarlinkReply refusal = {};
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch(c, wanted, INVENTORY_MAX, &vms, &refusal);
        if (r < 0)
                return verb_failed(c, r);
        if (refusal.error)
                return verb_refused(c, &refusal, wanted);
        if (json_array_size(vms) == 0)
                return verb_refuse_unknown(c, wanted);

        /* Of several vspcd says that the name is ambiguous. */
        json_t *vm = json_array_get(vms, 0);
        const char *id = json_array_size(vms) == 1 ? json_get_text(vm, "id", wanted) : wanted;

        r = connection_ask(c, method, json_pack("{s:s}", "vm", id), ret_reply);
        if (r < 0)
                return verb_failed(c, r);
        if (ret_reply->error)
                return verb_refused(c, ret_reply, wanted);

        *ret_vm = json_incref(vm);
        return 0;
}

static int clear(Connection *c, const char *wanted, _unused_ const Arguments *a) {
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_json_ json_t *vm = NULL;
        uint64_t n = 0;

        int r = do_to(c, wanted, "Clear", &vm, &reply);
        if (r < 0)
                return r;

        (void) json_get_number(reply.parameters, "disconnected", &n);
        print_text(stdout, json_get_text(vm, "name", "?"));
        printf(": %" PRIu64 " client%s disconnected.\n", n, n == 1 ? "" : "s");
        return 0;
}

static int forget(Connection *c, const char *wanted, _unused_ const Arguments *a) {
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_json_ json_t *vm = NULL;

        int r = do_to(c, wanted, "Forget", &vm, &reply);
        if (r < 0)
                return r;

        print_text(stdout, json_get_text(vm, "name", "?"));
        puts(": forgotten.");
        return 0;
}

int verb_clear(const Arguments *a) {
        return verb_for_each(a, clear);
}

int verb_forget(const Arguments *a) {
        return verb_for_each(a, forget);
}
