/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "aside.h"
#include "inventory.h"
#include "refusal.h"
#include "show.h"

static void print_refusal(FILE *f, const Connection *c, const VarlinkReply *refusal, const char *vm) {
        _cleanup_free_ char *text =
                refusal_explain(refusal, vm, c->targets, connection_users(c), REFUSAL_BRIEF);

        fprintf(f, "%s\n", text ?: "Out of memory");
}

static void print_info(FILE *f, Connection *c, const char *vm) {
        _cleanup_reply_ VarlinkReply refusal = {};
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch(c, vm, INVENTORY_ASIDE_MAX, &vms, &refusal);
        if (r < 0)
                fprintf(f, "%s\n", connection_strerror(c, r));
        else if (refusal.error)
                print_refusal(f, c, &refusal, vm);
        else if (json_array_size(vms) == 0)
                fputs("vspcd does not know this VM any more.\n", f);
        else
                show_vm(f, json_array_get(vms, 0), connection_users(c));
}

static bool print_clear(FILE *f, Connection *c, const char *vm) {
        _cleanup_reply_ VarlinkReply reply = {};
        uint64_t n = 0;

        int r = connection_ask(c, "Clear", json_pack("{s:s}", "vm", vm), &reply);
        if (r < 0)
                fprintf(f, "%s\n", connection_strerror(c, r));
        else if (reply.error)
                print_refusal(f, c, &reply, vm);
        if (r < 0 || reply.error)
                return false;

        (void) json_get_number(reply.parameters, "disconnected", &n);
        fprintf(f, "%" PRIu64 " client%s disconnected, this one among them.\n", n, n == 1 ? "" : "s");
        return true;
}

/* Opens where to print to, and a connection. Returns: whether there is one; if not it is said why. */
static bool begin(const Targets *targets, char **text, size_t *size, FILE **ret_f, Connection **ret_c) {
        _cleanup_free_ char *problem = NULL;

        *ret_f = open_memstream(text, size);
        if (!*ret_f)
                return false;

        if (connection_open(targets, connection_deadline(), ret_c, &problem) >= 0)
                return true;

        fprintf(*ret_f, "%s\n", problem ?: "Out of memory");
        return false;
}

static char *end(FILE *f, char **text) {
        if (f && fclose(f) != 0)
                free(TAKE_PTR(*text));

        return *text;
}

char *aside_info(const Targets *targets, const char *vm) {
        _cleanup_(connection_freep) Connection *c = NULL;
        char *text = NULL;
        size_t size;
        FILE *f;

        if (begin(targets, &text, &size, &f, &c))
                print_info(f, c, vm);

        return end(f, &text);
}

char *aside_clear(const Targets *targets, const char *vm, bool *ret_cleared) {
        _cleanup_(connection_freep) Connection *c = NULL;
        char *text = NULL;
        size_t size;
        FILE *f;

        *ret_cleared = begin(targets, &text, &size, &f, &c) && print_clear(f, c, vm);
        return end(f, &text);
}
