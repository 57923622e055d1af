/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "inventory.h"
#include "refusal.h"
#include "similar.h"

bool refusal_may_pass(const VarlinkReply *reply) {
        static const char *const errors[] = {"NoSuchVM", "AccessDenied", "ClientLimitReached"};

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (varlink_reply_is_error(reply, errors[i]))
                        return true;

        return false;
}

/* Returns: all VMs, or NULL if they cannot be fetched, without a message. */
static json_t *fetch(const Targets *targets, RefusalDetail detail) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(targets);
        json_t *vms = NULL;

        c.until_usec = now_monotonic() + CONNECTION_TIMEOUT_USEC;
        if (detail == REFUSAL_IN_FULL)
                (void) inventory_fetch(&c, NULL, INVENTORY_ASIDE_MAX, &vms);

        return vms;
}

static void print_vm(FILE *f, const json_t *vm) {
        fputc('\n', f);
        print_text(f, "  %s  %s", json_get_text(vm, "name", "?"), json_get_text(vm, "id", "?"));
}

/* Both take over @others: all VMs, or NULL if they could not be fetched. */

static void explain_no_such_vm(FILE *f, const char *wanted, json_t *others) {
        _cleanup_json_ json_t *vms = others;
        const json_t *best[REFUSAL_NAMES_MAX];
        int distances[REFUSAL_NAMES_MAX];
        size_t n = 0;

        print_text(f, "No VM named \"%s\".", wanted);

        for (size_t i = 0; i < json_array_size(vms); i++) {
                const json_t *vm = json_array_get(vms, i);
                int distance = similar_distance(wanted, json_get_text(vm, "name", ""));
                size_t k;

                if (distance < 0 || (n == REFUSAL_NAMES_MAX && distance >= distances[n - 1]))
                        continue;

                /* Insert it after names with the same distance. */
                n = MIN(n + 1, (size_t) REFUSAL_NAMES_MAX);
                for (k = n - 1; k > 0 && distances[k - 1] > distance; k--) {
                        distances[k] = distances[k - 1];
                        best[k] = best[k - 1];
                }
                distances[k] = distance;
                best[k] = vm;
        }

        if (n > 0)
                fputs(" Similar names:", f);
        else if (json_array_size(vms) > 0)
                fputs(" \"vspc-client list\" lists the VMs.", f);

        for (size_t i = 0; i < n; i++)
                print_vm(f, best[i]);
}

static void explain_ambiguous_vm(FILE *f, const char *wanted, const json_t *uuids, json_t *others) {
        _cleanup_json_ json_t *vms = others;
        size_t n = json_array_size(uuids), n_shown = MIN(n, (size_t) REFUSAL_CANDIDATES_MAX);

        print_text(f, "\"%s\" matches several VMs. Use a UUID, or enough of it to be unique:", wanted);

        for (size_t i = 0; i < n_shown; i++) {
                const char *uuid = json_string_value(json_array_get(uuids, i)) ?: "?";
                const json_t *known = NULL;

                for (size_t k = 0; k < json_array_size(vms) && !known; k++)
                        if (streq(json_get_text(json_array_get(vms, k), "id", ""), uuid))
                                known = json_array_get(vms, k);

                if (known)
                        print_vm(f, known);
                else {
                        fputc('\n', f);
                        print_text(f, "  %s", uuid);
                }
        }

        if (n > n_shown)
                fprintf(f, "\n  and %zu more", n - n_shown);
}

static void explain_access_denied(FILE *f, const char *wanted, const json_t *parameters, Users users) {
        const json_t *holders = json_object_get(parameters, "holders");
        size_t n = json_array_size(holders);
        char access[HUMAN_TEXT_MAX];

        print_text(f, "%s access to VM %s is denied",
                   human_access(json_get_text(parameters, "access", "this"), access), wanted);

        for (size_t i = 0; i < MIN(n, (size_t) REFUSAL_CANDIDATES_MAX); i++) {
                fputs(i == 0 ? ": " : "\n  ", f);
                print_holder(f, json_array_get(holders, i), users);
        }
        if (n > REFUSAL_CANDIDATES_MAX)
                fprintf(f, "\n  and %zu more", n - REFUSAL_CANDIDATES_MAX);
}

static void explain_not_permitted(FILE *f, const char *vm, const json_t *parameters) {
        const json_t *who = json_object_get(parameters, "who");
        const char *act = json_get_text(parameters, "act", NULL);
        size_t n = json_array_size(who);

        if (!act) {
                fputs("You have no right to use vspcd.\nJoin group vspc (\"usermod -aG vspc USER\", and log in again), or have a "
                      "section [Access] of vspc.conf name you: see vspc-consoles(7)", f);
                return;
        }

        print_text(f, "You have no right to %s at VM %s", act, vm);
        for (size_t i = 0; i < MIN(n, (size_t) REFUSAL_CANDIDATES_MAX); i++)
                print_text(f, i == 0 ? ". These have it: %s" : ", %s", json_string_value(json_array_get(who, i)) ?: "?");
        if (n > REFUSAL_CANDIDATES_MAX)
                fprintf(f, " and %zu more", n - REFUSAL_CANDIDATES_MAX);
}

static void explain_no_such_client(FILE *f, const char *vm, const json_t *parameters) {
        uint64_t id = 0;

        (void) json_get_number(parameters, "client", &id);
        print_text(f, "VM %s has no client %" PRIu64, vm, id);
}

static void explain_limit(FILE *f, const char *vm, const json_t *parameters) {
        uint64_t limit = 0;

        (void) json_get_number(parameters, "limit", &limit);
        print_text(f, "VM %s has as many clients as ClientLimit= allows (%" PRIu64 ")", vm, limit);
}

static void explain_other(FILE *f, const VarlinkReply *reply) {
        const char *parameter = json_get_text(reply->parameters, "parameter", NULL);

        if (streq(reply->error, "org.varlink.service.MethodNotFound") ||
            streq(reply->error, "org.varlink.service.MethodNotImplemented") ||
            streq(reply->error, "org.varlink.service.InterfaceNotFound"))
                fputs("This vspcd cannot do that: it is older than this vspc-client " VSPC_VERSION, f);
        else
                print_text(f, "vspcd says %s%s%s", reply->error, parameter ? ": " : "", parameter ?: "");
}

char *refusal_explain(const Connection *c, int error, const char *vm, RefusalDetail detail) {
        const VarlinkReply *reply = &c->refusal;
        char *text = NULL;
        size_t size;

        if (error != -EREMOTEIO)
                return connection_explain(c, error);

        FILE *f = open_memstream(&text, &size);
        if (!f)
                return NULL;

        if (varlink_reply_is_error(reply, "NoSuchVM"))
                explain_no_such_vm(f, vm, fetch(c->targets, detail));
        else if (varlink_reply_is_error(reply, "AmbiguousVM"))
                explain_ambiguous_vm(f, vm, json_object_get(reply->parameters, "uuids"),
                                     fetch(c->targets, detail));
        else if (varlink_reply_is_error(reply, "AccessDenied"))
                explain_access_denied(f, vm, reply->parameters, connection_users(c));
        else if (varlink_reply_is_error(reply, "NotPermitted"))
                explain_not_permitted(f, vm, reply->parameters);
        else if (varlink_reply_is_error(reply, "ClientLimitReached"))
                explain_limit(f, vm, reply->parameters);
        else if (varlink_reply_is_error(reply, "NoSuchClient"))
                explain_no_such_client(f, vm, reply->parameters);
        else if (varlink_reply_is_error(reply, "SaidTooMuch"))
                print_text(f, "Too much has been said at VM %s: wait some seconds", vm);
        else if (varlink_reply_is_error(reply, "VMConnected"))
                print_text(f, "VM %s is connected and cannot be forgotten", vm);
        else
                explain_other(f, reply);

        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }

        return text;
}
