/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <utlist.h>

#include "basic/text.h"
#include "bus-action.h"
#include "bus-credentials.h"
#include "bus-names.h"
#include "bus.h"

/* flags of polkit's CheckAuthorization() */
enum {
        POLKIT_MAY_ASK_A_PERSON = 1,
};

static void call_free(BusCall *call) {
        BusCalls *calls = &call->bus->calls;

        DL_DELETE(calls->first, call);
        calls->n--;
        user_names_cancel(&call->user_name);
        sd_bus_slot_unref(call->answer);
        sd_bus_slot_unref(call->departure);
        sd_bus_message_unref(call->message);
        free(call->id);
        free(call);
}

/* Makes polkit close its dialog. */
static void call_give_up_polkit(const BusCall *call) {
        if (call->asking_polkit)
                (void) sd_bus_call_method_async(call->bus->connection, NULL, BUS_POLKIT, BUS_POLKIT_PATH,
                                                BUS_POLKIT_INTERFACE, "CancelCheckAuthorization", NULL, NULL,
                                                "s", call->cancellation);
}

static void call_carry_out(BusCall *call) {
        Console *console = call->id ? concentrator_find(call->bus->concentrator, call->id) : NULL;

        int r = console || !call->id ? call->action->carry_out(call, console)
                                     : bus_refuse_no_such_vm(call->message, call->id);
        if (r < 0)
                (void) sd_bus_reply_method_errno(call->message, r, NULL);

        call_free(call);
}

static void call_refuse(BusCall *call, const char *error, const char *format, ...) _printf_(3, 4);
static void call_refuse(BusCall *call, const char *error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) sd_bus_reply_method_errorfv(call->message, error, format, ap);
        va_end(ap);
        call_free(call);
}

/* Returns: whether the call is refused regardless of polkit. */
static bool call_is_forbidden(const BusCall *call) {
        return call->bus->restricted &&
               !rights_include_all(concentrator_rights(call->bus->concentrator), &call->peer.identity);
}

static void call_refuse_as_restricted(BusCall *call) {
        call_refuse(call, SD_BUS_ERROR_ACCESS_DENIED,
                    "By [Access] in vspc.conf not all users may list all VMs: on the bus only root and group vspc are served; "
                    "others use vspc-client");
}

/* Called if polkit has returned an error or an invalid answer. */
static void call_polkit_failed(BusCall *call, const sd_bus_message *answer) {
        const sd_bus_error *error = sd_bus_message_get_error((sd_bus_message *) answer);

        /* the error of sd-bus at a timeout */
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY))
                call_give_up_polkit(call);

        call_refuse(call, SD_BUS_ERROR_ACCESS_DENIED,
                    "Only root may do this, because polkit does not say whether %s may (%s): %s",
                    call->peer.text, call->action->polkit,
                    error && error->message ? error->message : "its answer is not understood");
}

static int on_polkit_answered(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        BusCall *call = userdata;
        int authorized = false, challenge = false;

        if (sd_bus_message_is_method_error(m, NULL) ||
            sd_bus_message_enter_container(m, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(m, "bb", &authorized, &challenge) < 0) {
                call_polkit_failed(call, m);
                return 0;
        }

        call->asking_polkit = false;
        call->peer.identity.vouched = authorized ? (uint8_t) rights_act_needs(call->action->act) : RIGHT_NONE;
        if (authorized && call_is_forbidden(call))
                call_refuse_as_restricted(call);
        else if (authorized)
                call_carry_out(call);
        else if (challenge)
                call_refuse(call, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                            "polkit requires authentication (%s), and nobody can be asked",
                            call->action->polkit);
        else
                call_refuse(call, SD_BUS_ERROR_ACCESS_DENIED, "polkit does not allow %s to do this (%s)",
                            call->peer.text, call->action->polkit);

        return 0;
}

/* Returns: whether polkit may be asked about another call of @uid. */
static bool calls_have_room_for_check(const BusCalls *calls, uid_t uid) {
        unsigned n = 0, n_of_user = 0;
        const BusCall *c;

        DL_FOREACH(calls->first, c) {
                n += c->asking_polkit;
                n_of_user += c->asking_polkit && c->peer.uid == uid;
        }

        return n < BUS_CHECKS_MAX && n_of_user < BUS_CHECKS_PER_USER_MAX;
}

static unsigned count_of_caller(const BusCalls *calls, const char *caller) {
        const BusCall *c;
        unsigned n = 0;

        DL_FOREACH(calls->first, c)
                n += streq(sd_bus_message_get_sender(c->message), caller);

        return n;
}

/* The question contains the VM, so that an administrator's rules can depend on it. */
static int append_question(sd_bus_message *m, const BusCall *call, const Console *console, uint32_t flags) {
        const char *caller = sd_bus_message_get_sender(call->message);

        int r = sd_bus_message_append(m, "(sa{sv})", "system-bus-name", 1, "name", "s", caller);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", call->action->polkit);
        if (r >= 0)
                r = sd_bus_message_append(m, "a{ss}", 3, "vm", console->name, "uuid", console->uuid_text, "uri",
                                          console->uri);

        return r < 0 ? r : sd_bus_message_append(m, "us", flags, call->cancellation);
}

static int on_caller_left(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        BusCall *call = userdata;

        call_give_up_polkit(call);
        call_free(call);
        return 0;
}

static int call_watch_caller(BusCall *call) {
        _cleanup_free_ char *match = text_format("type='signal',sender='" BUS_DAEMON "',path='" BUS_DAEMON_PATH
                                                 "',interface='" BUS_DAEMON
                                                 "',member='NameOwnerChanged',arg0='%s',arg2=''",
                                                 sd_bus_message_get_sender(call->message));
        if (!match)
                return -ENOMEM;

        return sd_bus_add_match_async(call->bus->connection, &call->departure, match, on_caller_left, NULL,
                                      call);
}

static int call_ask_polkit(BusCall *call, const Console *console) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        bool person = sd_bus_message_get_allow_interactive_authorization(call->message) > 0;
        sd_bus *connection = call->bus->connection;

        snprintf(call->cancellation, sizeof call->cancellation, "%" PRIu64, call->bus->calls.n_ever++);

        int r = call_watch_caller(call);
        if (r >= 0)
                r = sd_bus_message_new_method_call(connection, &m, BUS_POLKIT, BUS_POLKIT_PATH,
                                                   BUS_POLKIT_INTERFACE, "CheckAuthorization");
        if (r >= 0)
                r = append_question(m, call, console, person ? POLKIT_MAY_ASK_A_PERSON : 0);
        if (r < 0)
                return r;

        call->answer = sd_bus_slot_unref(call->answer);
        r = sd_bus_call_async(connection, &call->answer, m, on_polkit_answered, call,
                              person ? BUS_CALL_PERSON_USEC : BUS_CALL_POLKIT_USEC);
        if (r < 0)
                return r;

        call->asking_polkit = true;
        return 0;
}

/* Returns: whether the caller has the right to this call. If the VM is gone, the call may proceed, and fails then. */
static bool call_is_permitted(const BusCall *call, Console *console) {
        const BusAction *action = call->action;

        if (!console)
                return true;

        return action->is_permitted ? action->is_permitted(call, console)
                                    : console_permits(console, action->act, &call->peer.identity, NULL);
}

static void on_caller_named(UserNameQuery *query, const char *name) {
        BusCall *call = container_of(query, BusCall, user_name);
        Bus *b = call->bus;

        peer_set_user_name(&call->peer, name);

        Console *console = call->id ? concentrator_find(b->concentrator, call->id) : NULL;
        if (call_is_forbidden(call))
                call_refuse_as_restricted(call);
        else if (call_is_permitted(call, console))
                call_carry_out(call);
        else if (!calls_have_room_for_check(&b->calls, call->peer.uid))
                call_refuse(call, SD_BUS_ERROR_LIMITS_EXCEEDED, "Too many calls wait for polkit");
        else if (call_ask_polkit(call, console) < 0)
                call_refuse(call, SD_BUS_ERROR_NO_MEMORY, "polkit cannot be asked");
}

static int on_caller_known(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        BusCall *call = userdata;

        if (bus_read_credentials(m, &call->peer) < 0)
                call_refuse(call, SD_BUS_ERROR_ACCESS_DENIED, "The bus does not say who calls");
        else
                user_names_ask(call->bus->user_names, &call->user_name, call->peer.uid, on_caller_named);

        return 0;
}

static int call_new(Bus *b, sd_bus_message *message, const char *id, const BusAction *action,
                    const BusArguments *arguments) {
        const char *caller = sd_bus_message_get_sender(message);

        if (!caller)
                return -EINVAL;
        if (b->calls.n >= BUS_CALLS_MAX || count_of_caller(&b->calls, caller) >= BUS_CALLS_PER_CALLER_MAX)
                return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                                  "Too many calls wait to be allowed");

        BusCall *call = calloc(1, sizeof(BusCall));
        if (!call)
                return -ENOMEM;

        call->bus = b;
        call->action = action;
        call->arguments = *arguments;
        call->message = sd_bus_message_ref(message);
        call->id = id ? strdup(id) : NULL;
        DL_APPEND(b->calls.first, call);
        b->calls.n++;

        int r = call->id || !id ? bus_ask_credentials(b->connection, &call->answer, caller, on_caller_known, call) : -ENOMEM;
        if (r < 0) {
                call_free(call);
                return r;
        }

        return 1;
}

int bus_call(Bus *b, sd_bus_message *message, const Console *console, const BusAction *action,
             const BusArguments *arguments) {
        return call_new(b, message, console->id, action, arguments);
}

int bus_guard(Bus *b, sd_bus_message *message, const BusAction *action) {
        return call_new(b, message, NULL, action, &(BusArguments){});
}

void bus_calls_clear(Bus *b) {
        while (b->calls.first)
                call_free(b->calls.first);
}
