/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "verbs.h"
#include "vm.h"

/* clear and forget: what is done to VMs, one after the other, up to the first that cannot be. */
static int do_to_each(const Arguments *a, const char *method,
                      void (*report)(const char *vm, const VarlinkReply *)) {
        _cleanup_(connection_freep) Connection *c = NULL;

        int r = verb_connect(a, &c);
        if (r < 0)
                return r;

        for (size_t i = 0; i < a->n_words; i++) {
                _cleanup_reply_ VarlinkReply reply = {};

                r = connection_ask(c, method, json_pack("{s:s}", "vm", a->words[i]), &reply);
                if (r < 0)
                        return verb_failed(c, r);
                if (reply.error)
                        return verb_refused(c, &reply, a->words[i]);

                report(a->words[i], &reply);
        }

        return 0;
}

static void report_cleared(const char *vm, const VarlinkReply *reply) {
        uint64_t n = 0;

        (void) json_get_number(reply->parameters, "disconnected", &n);
        print_text(stdout, vm);
        printf(": %" PRIu64 " client%s disconnected.\n", n, n == 1 ? "" : "s");
}

static void report_forgotten(const char *vm, _unused_ const VarlinkReply *reply) {
        print_text(stdout, vm);
        puts(": forgotten.");
}

int verb_clear(const Arguments *a) {
        return do_to_each(a, "Clear", report_cleared);
}

int verb_forget(const Arguments *a) {
        return do_to_each(a, "Forget", report_forgotten);
}
