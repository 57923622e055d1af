/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>
#include <utlist.h>

#include "basic/text.h"
#include "client.h"
#include "message.h"

const TelnetPolicy client_policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_COM_PORT, TELNET_OPTION_END},
        .n_us_offered = 3,
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_COM_PORT, TELNET_OPTION_END},
        .n_him_offered = 2,
};

/* What a client sends that is not read, its VM taking no input, is in the kernel, which is not asked each time. */
#define CLIENT_UNREAD_IN_KERNEL (128U * 1024U)

void client_update_charges(Client *c) {
        bool paused = !c->telnet.stream.reading && !c->half_closed;

        charge_set(&c->connection, sizeof *c + telnet_connection_size(&c->telnet) + c->unread.allocated);
        if (stream_has_progressed(&c->telnet.stream))
                charge_set(&c->waiting, 0); /* it is not one that does not read */
        charge_set(&c->waiting, stream_waiting(&c->telnet.stream) + (paused ? CLIENT_UNREAD_IN_KERNEL : 0));
}

/* The account wants the memory of these back. */
static bool client_connection_given_up(Charge *charge) {
        client_close(container_of(charge, Client, connection), CLIENT_E_RECLAIMED);
        return true;
}

static bool client_waiting_given_up(Charge *charge) {
        Client *c = container_of(charge, Client, waiting);

        stream_measure(&c->telnet.stream);
        client_update_charges(c);
        if (charge->size < CHARGE_TO_BLAME)
                return false;

        stream_discard_on_close(&c->telnet.stream);
        client_give_up(c);
        return true;
}

static const StreamHandler client_handler = {
        .readable = client_readable,
        .writable = client_writable,
        .hung_up = client_hung_up,
};

/* In words, as an addition to what is the usual case. */
static const char *client_access_remark(Access access) {
        switch (access) {
        case ACCESS_READ_ONLY:
                return ", to read only";
        case ACCESS_WRITE:
                return ", with write access";
        case ACCESS_EXCLUSIVE:
                return ", with exclusive access";
        default:
                return "";
        }
}

int client_new(Console *console, Wire wire, const ClientRequest *request) {
        assert(request->granted > ACCESS_NONE);

        Concentrator *concentrator = console->concentrator;
        _cleanup_(wire_close) Wire owned = wire;
        _cleanup_free_ Client *c = calloc(1, sizeof(Client));
        if (!c)
                return -ENOMEM;

        int r = ring_enter(&console->ring, &c->cursor);
        if (r < 0)
                return r;

        r = stream_open(&c->telnet.stream, concentrator_poller(concentrator), TAKE(owned, WIRE_PLAIN(-1)), CLIENT_OUT_MAX, &client_handler);
        if (r >= 0)
                r = buffer_append(&c->telnet.stream.out, request->answer, request->answer_size);
        if (r < 0) {
                telnet_connection_close(&c->telnet);
                ring_leave(&console->ring, &c->cursor);
                return r;
        }

        c->concentrator = concentrator;
        c->console = console;
        c->mode = request->mode;
        c->access_mode = request->access;
        c->access = request->granted;
        c->shown_connected = true; /* of anything else it is told once it can be */
        c->peer = request->peer;
        c->since = concentrator_now_realtime(concentrator);
        c->unread = BUFFER_INIT(CLIENT_TYPED_EARLY_MAX);
        charge_open(&c->connection, concentrator_account(concentrator), &c->peer.key, CHARGE_CONNECTION,
                    client_connection_given_up);
        charge_open_like(&c->waiting, &c->connection, CHARGE_CLIENT, client_waiting_given_up);
        telnet_connection_init(&c->telnet, &client_policy, TELNET_CR_LF_IS_CR, CLIENT_OUT_MAX, &client_telnet_handler);
        c->reading.after_silence = true; /* it has sent nothing at all */
        c->keyboard.exact = c->mode == CLIENT_TELNET;
        if (c->mode == CLIENT_TELNET)
                telnet_session_assume(&c->telnet.session, &client_policy);
        console_add_client(console, c);
        console_log(console, LOG_INFO, VSPC_MESSAGE_CLIENT_CONNECTED, c->peer.text, "client %s connected%s",
                    c->peer.text, client_access_remark(c->access));

        if (c->mode == CLIENT_TELNET) {
                if (request->scrollback)
                        client_go_to_scrollback(c);
        } else {
                timeout_start(concentrator_timeouts(concentrator, TIMEOUT_DETECTION), &c->detection);
                (void) telnet_connection_offer(&c->telnet);
        }

        client_take_typed(c, request->typed, request->typed_size);
        TAKE_PTR(c);
        return 0;
}

void client_log_disconnected(const Client *c) {
        console_log(c->console, LOG_INFO, VSPC_MESSAGE_CLIENT_DISCONNECTED, c->peer.text,
                    "client %s disconnected", c->peer.text);
}

void client_close(Client *c, int verdict) {
        assert(verdict != 0);
        if (c->verdict != 0)
                return;

        c->verdict = verdict;
        timeout_stop(&c->detection);
        timeout_stop(&c->silence);
        timeout_stop(&c->vm_silence);
        timeout_stop(&c->lifetime);
        charge_close(&c->waiting);
        if (verdict == CLIENT_E_RECLAIMED)
                charge_close(&c->connection);
        if (verdict == CLIENT_E_RECLAIMED || verdict == CLIENT_E_ENDED) /* its descriptor is free at once */
                telnet_connection_close(&c->telnet);
        else
                telnet_connection_stop(&c->telnet);

        ring_leave(&c->console->ring, &c->cursor);
        console_remove_client(c->console, c);
        concentrator_collect_client(c->concentrator, c);
}

/* What a client that speaks telnet is told; it gets what is queued for it then. */
static const char *const client_goodbyes[_CLIENT_VERDICT_MAX] = {
        [CLIENT_E_CLEARED] = "disconnected by an administrator",
        [CLIENT_E_FORGOTTEN] = "this VM has been forgotten",
};

void client_reap(Client *c) {
        const char *told = c->verdict > 0 ? client_goodbyes[c->verdict] : NULL;

        if (told && c->mode == CLIENT_TELNET)
                client_notice(c, "%s", told);
        if (told)
                closer_take(concentrator_closer(c->concentrator), &c->telnet.stream, &c->connection);

        if (!c->half_closed) {
                client_log_disconnected(c);
                concentrator_notify(c->concentrator, c->console, CONSOLE_CLIENT_DETACHED, c);
        }

        telnet_connection_close(&c->telnet);
        charge_close(&c->connection);
        buffer_clear(&c->unread);
        free(c);
}

void client_notice(Client *c, const char *format, ...) {
        char text[256] = "\r\n[vspc: ";
        size_t n = strlen(text);
        va_list ap;

        va_start(ap, format);
        n += (size_t) vsnprintf(text + n, sizeof text - n - 4, format, ap);
        va_end(ap);
        if (n > sizeof text - 5)
                n = text_cut(text, sizeof text - 5);
        n = (size_t) (stpcpy(text + n, "]\r\n") - text);

        if (telnet_connection_settle(&c->telnet) < 0 ||
            buffer_append(&c->telnet.stream.out, text, n) < 0)
                client_close(c, CLIENT_E_DEAF);
}

void client_update_access(Client *c) {
        Access access = access_decide(c->access_mode, &c->console->holders);

        /* Only who has fallen back can rise again. */
        if (c->verdict != 0 || c->access != ACCESS_READ_ONLY || access <= ACCESS_READ_ONLY)
                return;

        client_forget_typed(c);
        console_change_access(c->console, c, access);
        if (TAKE(c->shown_read_only, false) && c->mode == CLIENT_TELNET)
                client_notice(c, "write lock released, you can type now");
}
