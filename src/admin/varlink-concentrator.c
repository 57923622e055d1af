/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "console/client-refusal.h"
#include "console/lookup.h"
#include "property.h"
#include "varlink-concentrator.h"
#include "varlink-sharing.h"
#include "vm-stream.h"

#define INTERFACE "org.vspc.Concentrator"

static const char description[] =
#include "org.vspc.Concentrator.varlink.inc"
        ;

static_assert(TELNET_UNREAD_MAX <= VARLINK_CALL_MAX, "bytes that follow Attach() before its reply are limited to this");
static_assert(VARLINK_OUT_HIGH + VM_CLIENTS_LISTED_MAX * 1024U <= CLIENT_OUT_MAX,
              "what waits to be read, and the reply to Attach(), are passed on to the client");

static void reply_no_such_vm(VarlinkConnection *c, const char *vm) {
        JsonWriter w = varlink_error_begin(c, INTERFACE ".NoSuchVM");

        json_writer_put_string(&w, "vm", vm);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

static void reply_ambiguous_vm(VarlinkConnection *c, const char *vm, const Lookup *found) {
        JsonWriter w = varlink_error_begin(c, INTERFACE ".AmbiguousVM");

        json_writer_put_string(&w, "vm", vm);
        json_writer_begin_array(&w, "uuids");
        for (size_t i = 0; i < found->n; i++)
                json_writer_put_string(&w, NULL, found->candidates[i]->id);
        json_writer_end_array(&w);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

/* Returns: NULL, after an error reply, if @vm does not designate exactly one VM. */
Console *varlink_find_vm(VarlinkConnection *c, const char *vm) {
        Lookup found;

        lookup(c->server->concentrator, vm, &c->peer.identity, &c->asker, &found);
        if (found.n == 1)
                return found.candidates[0];

        if (found.n == 0)
                reply_no_such_vm(c, vm);
        else
                reply_ambiguous_vm(c, vm, &found);
        return NULL;
}

/* For calls with a VM as the only parameter. Returns: the VM; NULL, after an error reply, if there is no such VM, or the caller
 * has no right to @act. */
static Console *take_vm(VarlinkConnection *c, const VarlinkCall *call, Act act, const char **ret_vm) {
        const VarlinkParameter parameters[] = {{"vm", VARLINK_STRING, VARLINK_REQUIRED, ret_vm}};

        if (!varlink_take_parameters(c, call, parameters, ELEMENTSOF(parameters)))
                return NULL;

        Console *console = varlink_find_vm(c, *ret_vm);
        if (!console || varlink_permits(c, console, act))
                return console;

        console_log_not_permitted(console, act, &c->peer);
        varlink_reply_not_permitted_at(c, *ret_vm, console, act);
        return NULL;
}

static void list_one(VarlinkConnection *c, const Console *console) {
        JsonWriter w = varlink_reply_begin(c);

        if (console)
                vm_json_write(&w, "vm", console);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

/* Other callers must not learn how many VMs there are, or what happens at them. */
static bool covers_all_vms(const VarlinkConnection *c) {
        return rights_cover_all_vms(concentrator_rights(c->server->concentrator), &c->peer.identity);
}

static void method_list(VarlinkConnection *c, const VarlinkCall *call) {
        Concentrator *concentrator = c->server->concentrator;
        Console *first = concentrator_consoles(concentrator);
        const char *name = NULL;
        const VarlinkParameter parameters[] = {{"name", VARLINK_STRING, VARLINK_OPTIONAL, &name}};
        Lookup found;

        if (!varlink_take_parameters(c, call, parameters, ELEMENTSOF(parameters)))
                return;

        if (!name && call->more)
                vm_stream_list(c, NULL, FIT_NOT);
        else if (!name && (concentrator_counts(concentrator)->n_vms > 1 || !covers_all_vms(c)))
                varlink_reply_expected_more(c);
        else if (!name)
                list_one(c, first && varlink_permits(c, first, ACT_LIST) ? first : NULL);
        if (!name)
                return;

        lookup(concentrator, name, &c->peer.identity, &c->asker, &found);
        if (found.n == 0)
                reply_no_such_vm(c, name);
        else if (found.n == 1)
                list_one(c, found.candidates[0]);
        else if (call->more)
                vm_stream_list(c, name, found.fit);
        else
                varlink_reply_expected_more(c);
}

static void reply_access_denied(VarlinkConnection *c, const Console *console, const char *vm, AccessMode mode) {
        JsonWriter w = varlink_error_begin(c, INTERFACE ".AccessDenied");
        const Client *holder = NULL;

        json_writer_put_string(&w, "vm", vm);
        json_writer_put_string(&w, "access", access_mode_to_string(mode));
        json_writer_begin_array(&w, "holders");
        for (unsigned n = 0; n < VM_CLIENTS_LISTED_MAX; n++) {
                holder = console_next_obstacle(console, mode, holder);
                if (!holder)
                        break;
                client_json_write(&w, NULL, holder);
        }
        json_writer_end_array(&w);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

static void reply_client_limit_reached(VarlinkConnection *c, const char *vm) {
        JsonWriter w = varlink_error_begin(c, INTERFACE ".ClientLimitReached");

        json_writer_put_string(&w, "vm", vm);
        json_writer_put_unsigned(&w, "limit", concentrator_settings(c->server->concentrator)->client_limit);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

void varlink_refuse_client(VarlinkConnection *c, Console *console, const char *vm, const ClientRequest *request,
                           ConsoleVerdict verdict) {
        client_log_refusal(console, request, verdict);
        if (verdict == CONSOLE_DENIES_ACCESS)
                reply_access_denied(c, console, vm, request->access);
        else if (verdict == CONSOLE_FORBIDS)
                varlink_reply_not_permitted_at(c, vm, console, request->act);
        else
                reply_client_limit_reached(c, vm);
}

/* Makes the connection a client of the console. */
static void attach(VarlinkConnection *c, Console *console, ClientRequest *request) {
        Buffer answer, typed;

        JsonWriter w = varlink_reply_begin(c);
        vm_json_write(&w, "vm", console);
        json_writer_put_string(&w, "granted", access_to_string(request->granted));
        json_writer_put_unsigned(&w, "client", concentrator_next_client_number(c->server->concentrator));
        varlink_reply_end(c, &w, VARLINK_LAST);
        if (c->state == VARLINK_CLOSED)
                return;

        Wire wire = varlink_hand_over(c, &answer, &typed);
        request->answer = buffer_data(&answer);
        request->answer_size = answer.size;
        request->typed = buffer_data(&typed);
        request->typed_size = typed.size;

        int r = client_new(console, wire, request);
        if (r < 0)
                console_log(console, LOG_ERR, NULL, request->peer.text, "cannot take another client: %s",
                            strerror(-r));
        console_changed(console);

        buffer_clear(&answer);
        buffer_clear(&typed);
}

static void method_attach(VarlinkConnection *c, const VarlinkCall *call) {
        const char *vm = NULL, *access = NULL, *display_name = NULL;
        ClientRequest request = {.peer = c->peer, .access = ACCESS_MODE_FREE_FOR_ALL_FALLBACK, .mode = TELNET_MODE_TELNET,
                                 .scrollback = true};
        const VarlinkParameter parameters[] = {
                {"vm", VARLINK_STRING, VARLINK_REQUIRED, &vm},
                {"access", VARLINK_STRING, VARLINK_OPTIONAL, &access},
                {"scrollback", VARLINK_BOOLEAN, VARLINK_OPTIONAL, &request.scrollback},
                {"force", VARLINK_BOOLEAN, VARLINK_OPTIONAL, &request.force},
                {"noticesApart", VARLINK_BOOLEAN, VARLINK_OPTIONAL, &request.notices_apart},
                {"displayName", VARLINK_STRING, VARLINK_OPTIONAL, &display_name},
        };

        if (!varlink_take_parameters(c, call, parameters, ELEMENTSOF(parameters)))
                return;

        if (access && access_mode_from_string(access, &request.access) < 0) {
                varlink_reply_invalid_parameter(c, "access");
                return;
        }

        if (display_name && c->peer.uid == 0)
                peer_set_display_name(&request.peer, display_name);

        if (!call->upgrade) {
                varlink_reply_invalid_parameter(c, "upgrade");
                return;
        }

        if (c->in.size > TELNET_UNREAD_MAX) {
                varlink_log_mistake(c, "is followed by more than 4096 bytes before it is answered");
                varlink_close_gently(c);
                return;
        }

        Console *console = varlink_find_vm(c, vm);
        if (!console)
                return;

        ConsoleVerdict verdict = console_admit(console, &request);
        if (verdict == CONSOLE_ADMITS)
                attach(c, console, &request);
        else
                varlink_refuse_client(c, console, vm, &request, verdict);
}

static void method_clear(VarlinkConnection *c, const VarlinkCall *call) {
        const char *vm = NULL;
        Console *console = take_vm(c, call, ACT_CLEAR, &vm);

        if (!console)
                return;

        unsigned n = console_clear(console, &c->peer);
        JsonWriter w = varlink_reply_begin(c);
        json_writer_put_unsigned(&w, "disconnected", n);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

static void method_forget(VarlinkConnection *c, const VarlinkCall *call) {
        const char *vm = NULL;
        Console *console = take_vm(c, call, ACT_FORGET, &vm);

        if (!console)
                return;

        if (console_forget(console, &c->peer) >= 0) {
                concentrator_settle(c->server->concentrator); /* the next call must not find it */
                varlink_reply(c);
                return;
        }

        JsonWriter w = varlink_error_begin(c, INTERFACE ".VMConnected");
        json_writer_put_string(&w, "vm", vm);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

static void method_monitor(VarlinkConnection *c, const VarlinkCall *call) {
        bool activity = false;
        const VarlinkParameter parameters[] = {{"activity", VARLINK_BOOLEAN, VARLINK_OPTIONAL, &activity}};

        if (!varlink_take_parameters(c, call, parameters, ELEMENTSOF(parameters)))
                return;

        if (!call->more)
                varlink_reply_expected_more(c);
        else if (!vm_stream_monitor(c, activity)) {
                JsonWriter w = varlink_error_begin(c, INTERFACE ".TooManyMonitors");
                json_writer_put_unsigned(&w, "limit", VARLINK_WATCHERS_MAX);
                varlink_reply_end(c, &w, VARLINK_LAST);
        }
}

static bool may_reload(VarlinkConnection *c) {
        return rights_include_all(concentrator_rights(c->server->concentrator), &c->peer.identity);
}

static bool reload_passes_limit(VarlinkServer *s, const Peer *peer) {
        return peer->uid == 0 || peer->uid == geteuid() ||
               rate_limit_pass(&s->reloads, concentrator_now(s->concentrator), VARLINK_RELOADS_USEC, VARLINK_RELOADS_MAX);
}

static void reply_too_many_reloads(VarlinkConnection *c) {
        JsonWriter w = varlink_error_begin(c, INTERFACE ".TooManyReloads");

        json_writer_put_unsigned(&w, "limit", VARLINK_RELOADS_MAX);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

static void method_reload(VarlinkConnection *c, const VarlinkCall *call) {
        VarlinkServer *s = c->server;

        if (!varlink_take_parameters(c, call, NULL, 0))
                return;

        if (!may_reload(c)) {
                varlink_reply_permission_denied(c);
                return;
        }

        if (!reload_passes_limit(s, &c->peer)) {
                reply_too_many_reloads(c);
                return;
        }

        varlink_wait(c, s->reload(&c->peer, s->reload_userdata));
}

static void reply_to_reload(VarlinkConnection *c, int result, char *const *problems, size_t n) {
        JsonWriter w = result < 0 ? varlink_error_begin(c, INTERFACE ".ConfigurationRefused") : varlink_reply_begin(c);

        json_writer_begin_array(&w, result < 0 ? "problems" : "warnings");
        for (size_t i = 0; i < n; i++)
                json_writer_put_string(&w, NULL, problems[i]);
        json_writer_end_array(&w);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

void varlink_concentrator_reloaded(VarlinkServer *s, uint64_t number, int result, char *const *problems, size_t n) {
        VarlinkConnection *c, *next;

        DL_FOREACH_SAFE(s->connections[VARLINK_WAITING], c, next)
                if (c->waits_for <= number) {
                        reply_to_reload(c, result, problems, n);
                        varlink_answered(c);
                }
}

static void method_get_metrics(VarlinkConnection *c, const VarlinkCall *call) {
        uint64_t values[METRICS_N];

        if (!varlink_take_parameters(c, call, NULL, 0))
                return;

        if (!covers_all_vms(c)) {
                varlink_reply_not_permitted(c);
                return;
        }

        metrics_collect(c->server->concentrator, c->server->n_connections, values);
        JsonWriter w = varlink_reply_begin(c);
        for (size_t i = 0; i < METRICS_N; i++)
                json_writer_put_unsigned(&w, metrics[i].key, values[i]);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

const VarlinkInterface varlink_concentrator = {
        .name = INTERFACE,
        .description = description,
        .methods = (const VarlinkMethod[]){
                {"List", method_list},
                {"Attach", method_attach},
                {"Clear", method_clear, VARLINK_ACTS},
                {"Forget", method_forget, VARLINK_ACTS},
                {"SetAccess", varlink_method_set_access, VARLINK_ACTS},
                {"Disconnect", varlink_method_disconnect, VARLINK_ACTS},
                {"Say", varlink_method_say, VARLINK_ACTS},
                {"Monitor", method_monitor},
                {"Reload", method_reload, VARLINK_ACTS},
                {"GetMetrics", method_get_metrics},
                {},
        },
};
