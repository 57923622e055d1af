/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console/client-refusal.h"
#include "console/sharing.h"
#include "varlink-client.h"
#include "varlink-concentrator.h"
#include "varlink-sharing.h"

static void reply_no_such_client(VarlinkConnection *c, const char *vm, uint64_t number) {
        JsonWriter w = varlink_error_begin(c, VARLINK_INTERFACE ".NoSuchClient");

        json_writer_put_string(&w, "vm", vm);
        json_writer_put_unsigned(&w, "client", number);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

/* Returns: NULL, after an error reply, if there is no such client. */
static Client *find_client(VarlinkConnection *c, const char *vm, uint64_t number, Console **ret_console) {
        Console *console = varlink_find_vm(c, vm);
        Client *client = console ? console_find_client(console, number) : NULL;

        if (console && !client)
                reply_no_such_client(c, vm, number);
        *ret_console = console;
        return client;
}

void varlink_method_set_access(VarlinkConnection *c, const VarlinkCall *call) {
        const char *vm = NULL, *access = NULL;
        ClientRequest request = {.peer = c->peer};
        uint64_t number = 0;
        Console *console;
        const VarlinkParameter parameters[] = {
                {"vm", VARLINK_STRING, VARLINK_REQUIRED, &vm},
                {"client", VARLINK_NUMBER, VARLINK_REQUIRED, &number},
                {"access", VARLINK_STRING, VARLINK_REQUIRED, &access},
                {"force", VARLINK_BOOLEAN, VARLINK_OPTIONAL, &request.force},
        };

        if (!varlink_take_parameters(c, call, parameters, ELEMENTSOF(parameters)))
                return;

        if (access_mode_from_string(access, &request.access) < 0) {
                varlink_reply_invalid_parameter(c, "access");
                return;
        }

        Client *client = find_client(c, vm, number, &console);
        if (!client)
                return;

        ConsoleVerdict verdict = sharing_set_access(console, client, &request);
        if (verdict != CONSOLE_ADMITS) {
                varlink_refuse_client(c, console, vm, &request, verdict);
                return;
        }

        JsonWriter w = varlink_reply_begin(c);
        json_writer_put_string(&w, "granted", access_to_string(request.granted));
        varlink_reply_end(c, &w, VARLINK_LAST);
}

static void refuse(VarlinkConnection *c, Console *console, const char *vm, Act act) {
        console_log_not_permitted(console, act, &c->peer);
        varlink_reply_not_permitted_at(c, vm, console, act);
}

void varlink_method_disconnect(VarlinkConnection *c, const VarlinkCall *call) {
        const char *vm = NULL;
        uint64_t number = 0;
        Console *console;
        const VarlinkParameter parameters[] = {
                {"vm", VARLINK_STRING, VARLINK_REQUIRED, &vm},
                {"client", VARLINK_NUMBER, VARLINK_REQUIRED, &number},
        };

        if (!varlink_take_parameters(c, call, parameters, ELEMENTSOF(parameters)))
                return;

        Client *client = find_client(c, vm, number, &console);
        if (!client)
                return;

        if (!sharing_permits(console, ACT_DISCONNECT, &c->peer.identity, client))
                refuse(c, console, vm, ACT_DISCONNECT);
        else {
                sharing_disconnect(console, client, &c->peer);
                varlink_reply(c);
        }
}

void varlink_method_say(VarlinkConnection *c, const VarlinkCall *call) {
        const char *vm = NULL, *text = NULL;
        const VarlinkParameter parameters[] = {
                {"vm", VARLINK_STRING, VARLINK_REQUIRED, &vm},
                {"text", VARLINK_STRING, VARLINK_REQUIRED, &text},
        };

        if (!varlink_take_parameters(c, call, parameters, ELEMENTSOF(parameters)))
                return;

        Console *console = varlink_find_vm(c, vm);
        if (!console)
                return;

        if (!varlink_permits(c, console, ACT_SAY)) {
                refuse(c, console, vm, ACT_SAY);
                return;
        }

        int n = sharing_say(console, &c->peer, text);
        if (n < 0) {
                JsonWriter w = varlink_error_begin(c, VARLINK_INTERFACE ".SaidTooMuch");
                json_writer_put_string(&w, "vm", vm);
                varlink_reply_end(c, &w, VARLINK_LAST);
                return;
        }

        JsonWriter w = varlink_reply_begin(c);
        json_writer_put_unsigned(&w, "heard", (uint64_t) n);
        varlink_reply_end(c, &w, VARLINK_LAST);
}
