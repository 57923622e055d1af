/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>

#include "basic/text.h"
#include "bus-action.h"
#include "bus-names.h"
#include "bus.h"
#include "console/client-refusal.h"
#include "console/sharing.h"

/* Bytes of a designation that are shown in an error */
#define DESIGNATION_SHOWN_MAX 256U

/* The maximum of holders of access that an error lists */
#define HOLDERS_SHOWN_MAX 4U

int bus_refuse_no_such_vm(sd_bus_message *m, const char *designation) {
        return sd_bus_reply_method_errorf(m, BUS_ERROR_NO_SUCH_VM, "There is no VM \"%.*s\"",
                                          (int) text_fit(designation, DESIGNATION_SHOWN_MAX), designation);
}

static int refuse_access(const BusCall *call, const Console *console, AccessMode mode) {
        char text[HOLDERS_SHOWN_MAX * (CLIENT_HOLD_TEXT_MAX + sizeof("; ")) + sizeof("; and others")] = "";
        const Client *holder = console_next_obstacle(console, mode, NULL);
        char hold[CLIENT_HOLD_TEXT_MAX], *end = text;

        for (unsigned n = 0; holder && n < HOLDERS_SHOWN_MAX; n++) {
                end = stpcpy(stpcpy(end, n > 0 ? "; " : ""), client_describe_hold(holder, hold));
                holder = console_next_obstacle(console, mode, holder);
        }
        if (holder)
                stpcpy(end, "; and others");

        return sd_bus_reply_method_errorf(call->message, BUS_ERROR_ACCESS_DENIED, "VM %s: %s", console->name,
                                          text);
}

static int refuse_client(const BusCall *call, Console *console, const ClientRequest *request,
                         ConsoleVerdict verdict) {
        char who[REFUSAL_WHO_TEXT_MAX];

        client_log_refusal(console, request, verdict);
        if (verdict == CONSOLE_FORBIDS)
                return sd_bus_reply_method_errorf(call->message, SD_BUS_ERROR_ACCESS_DENIED, "VM %s: no right to %s; that may %s",
                                                  console->name, rights_act_text(request->act),
                                                  console_describe_permitted(console, request->act, who));
        if (verdict == CONSOLE_DENIES_ACCESS)
                return refuse_access(call, console, request->access);

        return sd_bus_reply_method_errorf(call->message, BUS_ERROR_CLIENT_LIMIT_REACHED,
                                          "VM %s has %u clients already, as many as ClientLimit= allows",
                                          console->name, console->n_clients);
}

/* Makes a pair of sockets: one end is a new client of the console, the other is for the caller. */
static int console_take_caller(Console *console, const ClientRequest *request, int *ret_fd) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;

        _cleanup_close_ int theirs = pair[1];
        int ours = concentrator_admit(console->concentrator, pair[0]);
        if (ours < 0)
                return ours;

        /* Only our end is non-blocking: the caller expects a blocking descriptor. */
        (void) fcntl(ours, F_SETFL, O_NONBLOCK);

        int r = client_new(console, WIRE_PLAIN(ours), request);
        if (r < 0)
                return r;

        *ret_fd = TAKE_FD(theirs);
        return 0;
}

static ClientRequest client_request(const BusCall *call) {
        const BusArguments *a = &call->arguments;

        return (ClientRequest){
                .peer = call->peer,
                .access = a->access,
                .force = a->force,
                .mode = TELNET_MODE_TELNET,
                .scrollback = !(a->flags & BUS_ATTACH_NO_SCROLLBACK),
                .notices_apart = a->flags & BUS_ATTACH_NOTICES_APART,
        };
}

/* Whoever leaves it open how to attach may have only the right to watch, and whoever takes over from nobody else needs no right
 * to that. */
static bool attach_is_permitted(const BusCall *call, Console *console) {
        ClientRequest request = client_request(call);

        return console_permits_request(console, &request, &call->peer.identity) == CONSOLE_ADMITS &&
               (!request.force || sharing_may_take_over(console, &request, NULL));
}

static int carry_out_attach(const BusCall *call, Console *console) {
        uint64_t number = concentrator_next_client_number(console->concentrator);
        ClientRequest request = client_request(call);
        _cleanup_close_ int fd = -1;

        ConsoleVerdict verdict = console_admit(console, &request);
        if (verdict != CONSOLE_ADMITS)
                return refuse_client(call, console, &request, verdict);

        int r = console_take_caller(console, &request, &fd);
        console_changed(console);
        if (r < 0)
                return sd_bus_reply_method_errorf(call->message, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                                  "VM %s cannot take another client: %s", console->name,
                                                  strerror(-r));

        return sd_bus_reply_method_return(call->message, "hst", fd, access_to_string(request.granted), number);
}

static int refuse_no_such_client(const BusCall *call, const Console *console) {
        return sd_bus_reply_method_errorf(call->message, BUS_ERROR_NO_SUCH_CLIENT, "VM %s has no client %" PRIu64, console->name,
                                          call->arguments.client);
}

/* What there is no client for is answered without polkit. */
static bool set_access_is_permitted(const BusCall *call, Console *console) {
        const Client *client = console_find_client(console, call->arguments.client);
        ClientRequest request = client_request(call);

        return !client || (sharing_permits(console, ACT_SET_ACCESS, &call->peer.identity, client) &&
                           (!request.force || sharing_may_take_over(console, &request, client)));
}

static int carry_out_set_access(const BusCall *call, Console *console) {
        Client *client = console_find_client(console, call->arguments.client);
        ClientRequest request = client_request(call);

        if (!client)
                return refuse_no_such_client(call, console);

        ConsoleVerdict verdict = sharing_set_access(console, client, &request);
        if (verdict != CONSOLE_ADMITS)
                return refuse_client(call, console, &request, verdict);

        return sd_bus_reply_method_return(call->message, "s", access_to_string(request.granted));
}

static bool disconnect_is_permitted(const BusCall *call, Console *console) {
        const Client *client = console_find_client(console, call->arguments.client);

        return !client || sharing_permits(console, ACT_DISCONNECT, &call->peer.identity, client);
}

static int carry_out_disconnect(const BusCall *call, Console *console) {
        Client *client = console_find_client(console, call->arguments.client);

        if (!client)
                return refuse_no_such_client(call, console);

        sharing_disconnect(console, client, &call->peer);
        return sd_bus_reply_method_return(call->message, NULL);
}

static int carry_out_say(const BusCall *call, Console *console) {
        int n = sharing_say(console, &call->peer, call->arguments.text);

        if (n == -EBUSY)
                return sd_bus_reply_method_errorf(call->message, BUS_ERROR_SAID_TOO_MUCH,
                                                  "Too much has been said at VM %s lately", console->name);

        return n < 0 ? n : sd_bus_reply_method_return(call->message, "u", (uint32_t) n);
}

static int carry_out_clear(const BusCall *call, Console *console) {
        return sd_bus_reply_method_return(call->message, "u", console_clear(console, &call->peer));
}

static int carry_out_forget(const BusCall *call, Console *console) {
        int r = console_forget(console, &call->peer);
        if (r == -EBUSY)
                return sd_bus_reply_method_errorf(
                        call->message, BUS_ERROR_VM_CONNECTED,
                        "VM %s is connected and cannot be forgotten", console->name);

        if (r < 0)
                return r;

        concentrator_settle(call->bus->concentrator); /* the next call must not find it */
        return sd_bus_reply_method_return(call->message, NULL);
}

int bus_clear(Bus *b, sd_bus_message *m, const Console *console) {
        static const BusAction clear = {BUS_POLKIT_MANAGE, ACT_CLEAR, .carry_out = carry_out_clear};

        return bus_call(b, m, console, &clear, &(BusArguments){});
}

int bus_forget(Bus *b, sd_bus_message *m, const Console *console) {
        static const BusAction forget = {BUS_POLKIT_MANAGE, ACT_FORGET, .carry_out = carry_out_forget};

        return bus_call(b, m, console, &forget, &(BusArguments){});
}

static int refuse_argument(sd_bus_message *m, const char *text) {
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "%s", text);
}

int bus_attach(Bus *b, sd_bus_message *m, const Console *console) {
        static const BusAction attach = {BUS_POLKIT_ATTACH, ACT_WRITE, attach_is_permitted, carry_out_attach};
        static const BusAction take_over = {BUS_POLKIT_TAKE_OVER, ACT_TAKE_OVER, attach_is_permitted, carry_out_attach};
        BusArguments a = {.access = ACCESS_MODE_FREE_FOR_ALL_FALLBACK};
        const char *access;

        int r = sd_bus_message_read(m, "st", &access, &a.flags);
        if (r < 0)
                return r;

        if (*access && access_mode_from_string(access, &a.access) < 0)
                return refuse_argument(m, "Access can be " ACCESS_MODES_TEXT);
        if (a.flags & ~(uint64_t) _BUS_ATTACH_ALL)
                return refuse_argument(m, "There are no such flags");

        a.force = a.flags & BUS_ATTACH_FORCE;
        return bus_call(b, m, console, a.force ? &take_over : &attach, &a);
}

int bus_set_access(Bus *b, sd_bus_message *m, const Console *console) {
        static const BusAction set_access = {BUS_POLKIT_MANAGE, ACT_SET_ACCESS, set_access_is_permitted, carry_out_set_access};
        const char *access;
        BusArguments a = {};
        int force;

        int r = sd_bus_message_read(m, "tsb", &a.client, &access, &force);
        if (r < 0)
                return r;

        if (access_mode_from_string(access, &a.access) < 0)
                return refuse_argument(m, "Access can be " ACCESS_MODES_TEXT);

        a.force = force;
        return bus_call(b, m, console, &set_access, &a);
}

int bus_disconnect_client(Bus *b, sd_bus_message *m, const Console *console) {
        static const BusAction disconnect = {BUS_POLKIT_MANAGE, ACT_DISCONNECT, disconnect_is_permitted, carry_out_disconnect};
        BusArguments a = {};

        int r = sd_bus_message_read(m, "t", &a.client);

        return r < 0 ? r : bus_call(b, m, console, &disconnect, &a);
}

int bus_say(Bus *b, sd_bus_message *m, const Console *console) {
        static const BusAction say = {BUS_POLKIT_ATTACH, ACT_SAY, .carry_out = carry_out_say};
        BusArguments a = {};

        int r = sd_bus_message_read(m, "s", &a.text);

        return r < 0 ? r : bus_call(b, m, console, &say, &a);
}
