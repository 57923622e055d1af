/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "console/access.h"
#include "inventory.h"
#include "message.h"
#include "pager.h"
#include "refusal.h"
#include "session.h"
#include "verbs.h"

int verb_failed(const Connection *c, int error, const char *vm) {
        _cleanup_free_ char *text = refusal_explain(c, error, vm ?: "?", REFUSAL_IN_FULL);

        return complain_lines(error, text);
}

int verb_print_json(const json_t *value, JsonFormat format) {
        size_t style = format == JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;

        if (json_dumpf(value, stdout, style | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) < 0)
                return complain(EIO, "Cannot write JSON");

        putchar('\n');
        return 0;
}

int verb_attach(const Arguments *a) {
        _cleanup_(session_freep) Session *s = NULL;

        int r = session_new(a, &s);
        if (r >= 0)
                r = session_run(s);
        if (r >= 0)
                return 0;

        message_lines(s && s->last_words ? s->last_words : strerror(-r));
        if (a->similar_verb && !(s && s->title))
                message("Did you mean the verb \"%s\"?", a->similar_verb);
        return r;
}

int verb_watch(const Arguments *a) {
        Arguments watching = *a;

        if (a->access || a->force)
                return complain(EINVAL, "watch: --access and --force are for attach.");

        watching.access = access_mode_to_string(ACCESS_MODE_READ_ONLY);
        return verb_attach(&watching);
}

/* Calls the function for each VM, until it fails for one. */
static int for_each(const Arguments *a, int (*run)(Connection *c, const char *name, const Arguments *a)) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);
        int r = 0;

        for (size_t i = 0; r >= 0 && i < a->n_words; i++)
                r = run(&c, a->words[i], a);

        return r;
}

/* Shows all VMs with this name, or that match the pattern. */
static int show(Connection *c, const char *name, const Arguments *a) {
        static bool shown = false;
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch_words(c, &(char *){(char *) name}, 1, &vms);
        if (r < 0)
                return verb_failed(c, r, name);

        pager_open(!a->no_pager);
        for (size_t i = 0; r >= 0 && i < json_array_size(vms); i++) {
                const json_t *vm = json_array_get(vms, i);

                if (a->json != JSON_OFF)
                        r = verb_print_json(vm, a->json);
                else {
                        if (TAKE(shown, true))
                                putchar('\n');
                        show_vm(stdout, vm, connection_users(c));
                }
        }

        return r;
}

int verb_show(const Arguments *a) {
        return for_each(a, show);
}

/* Calls @method for a VM and prints the VM's name, which is fetched first, because the VM may have been given by
 * its UUID or port. */
static int do_to(Connection *c, const char *name, const char *method, VarlinkReply *ret) {
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch(c, name, INVENTORY_MAX, &vms);
        if (r < 0)
                return verb_failed(c, r, name);

        /* If there are several, vspcd replies that the name is ambiguous. */
        const json_t *vm = json_array_get(vms, 0);
        const char *id = json_array_size(vms) == 1 ? json_get_text(vm, "id", name) : name;

        r = connection_ask(c, method, json_pack("{s:s}", "vm", id), ret);
        if (r < 0)
                return verb_failed(c, r, name);

        print_text(stdout, "%s: ", json_get_text(vm, "name", "?"));
        return 0;
}

static int clear(Connection *c, const char *name, _unused_ const Arguments *a) {
        _cleanup_reply_ VarlinkReply reply = {};
        uint64_t n = 0;

        int r = do_to(c, name, "Clear", &reply);
        if (r < 0)
                return r;

        (void) json_get_number(reply.parameters, "disconnected", &n);
        printf("%" PRIu64 " client%s disconnected.\n", n, n == 1 ? "" : "s");
        return 0;
}

int verb_clear(const Arguments *a) {
        return for_each(a, clear);
}

static int forget(Connection *c, const char *name, _unused_ const Arguments *a) {
        _cleanup_reply_ VarlinkReply reply = {};

        int r = do_to(c, name, "Forget", &reply);
        if (r >= 0)
                puts("forgotten.");

        return r;
}

int verb_forget(const Arguments *a) {
        return for_each(a, forget);
}
