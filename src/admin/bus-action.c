/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/socket.h>

#include "basic/text.h"
#include "bus-action.h"
#include "bus-names.h"
#include "bus.h"
#include "console/client-refusal.h"

/* Bytes of a designation that are shown in an error */
#define DESIGNATION_SHOWN_MAX 256U

/* The maximum of holders of access that an error lists */
#define HOLDERS_SHOWN_MAX 4U

int bus_refuse_no_such_vm(sd_bus_message *m, const char *designation) {
        return sd_bus_reply_method_errorf(m, BUS_ERROR_NO_SUCH_VM, "There is no VM \"%.*s\"",
                                          (int) text_fit(designation, DESIGNATION_SHOWN_MAX), designation);
}

static int refuse_access(const BusCall *call, const Console *console) {
        char text[HOLDERS_SHOWN_MAX * (CLIENT_HOLD_TEXT_MAX + sizeof("; ")) + sizeof("; and others")] = "";
        const Client *holder = console_next_obstacle(console, call->access, NULL);
        char hold[CLIENT_HOLD_TEXT_MAX], *end = text;

        for (unsigned n = 0; holder && n < HOLDERS_SHOWN_MAX; n++) {
                end = stpcpy(stpcpy(end, n > 0 ? "; " : ""), client_describe_hold(holder, hold));
                holder = console_next_obstacle(console, call->access, holder);
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
                return refuse_access(call, console);

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

static int carry_out_attach(const BusCall *call, Console *console) {
        ClientRequest request = {
                .peer = call->peer,
                .access = call->access,
                .mode = TELNET_MODE_TELNET,
                .scrollback = true,
        };
        _cleanup_close_ int fd = -1;

        ConsoleVerdict verdict = console_admits(console, &request);
        if (verdict != CONSOLE_ADMITS)
                return refuse_client(call, console, &request, verdict);

        int r = console_take_caller(console, &request, &fd);
        console_changed(console);
        if (r < 0)
                return sd_bus_reply_method_errorf(call->message, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                                  "VM %s cannot take another client: %s", console->name,
                                                  strerror(-r));

        return sd_bus_reply_method_return(call->message, "hs", fd, access_to_string(request.granted));
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
        static const BusAction clear = {BUS_POLKIT_MANAGE, ACT_CLEAR, carry_out_clear};

        return bus_call(b, m, console, &clear, ACCESS_MODE_FREE_FOR_ALL_FALLBACK);
}

int bus_forget(Bus *b, sd_bus_message *m, const Console *console) {
        static const BusAction forget = {BUS_POLKIT_MANAGE, ACT_FORGET, carry_out_forget};

        return bus_call(b, m, console, &forget, ACCESS_MODE_FREE_FOR_ALL_FALLBACK);
}

int bus_attach(Bus *b, sd_bus_message *m, const Console *console) {
        static const BusAction attach = {BUS_POLKIT_ATTACH, ACT_WRITE, carry_out_attach};
        AccessMode mode = ACCESS_MODE_FREE_FOR_ALL_FALLBACK;
        const char *access;

        int r = sd_bus_message_read(m, "s", &access);
        if (r < 0)
                return r;

        if (*access && access_mode_from_string(access, &mode) < 0)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS,
                                                  "Access can be " ACCESS_MODES_TEXT);

        return bus_call(b, m, console, &attach, mode);
}
