/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>

#include "basic/text.h"
#include "client-refusal.h"
#include "message.h"

/* While a client is not read, what it sends stays in the kernel. Its charge for this is an estimate, to save system calls. */
#define CLIENT_UNREAD_IN_KERNEL (128U * 1024U)

static const TelnetPolicy client_policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_COM_PORT, TELNET_OPTION_END},
        .n_us_offered = 3,
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_COM_PORT, TELNET_OPTION_END},
        .n_him_offered = 2,
};

/* Returns: the end of a log line; "" for the usual access. */
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

static void client_log_disconnected(const Client *c) {
        console_log(c->console, LOG_INFO, VSPC_MESSAGE_CLIENT_DISCONNECTED, c->record.peer.text,
                    "client %s disconnected", c->record.peer.text);
}

void client_close(Client *c, int verdict) {
        assert(verdict != 0);
        if (c->verdict != 0)
                return;

        c->verdict = verdict;
        timeout_stop(&c->vm_silence);
        timeout_stop(&c->lifetime);
        charge_close(&c->waiting);
        if (verdict == CLIENT_E_RECLAIMED)
                charge_close(&c->connection);

        /* If the peer is gone, no last message can be sent: close the descriptor at once. */
        bool alone = verdict == TELNET_E_ENDED || verdict == TELNET_E_DEAD || verdict == TELNET_E_BROKEN;
        if (alone || verdict == CLIENT_E_RECLAIMED)
                telnet_connection_close(&c->telnet);
        else
                telnet_connection_stop(&c->telnet);

        ring_leave(&c->console->ring, &c->record.cursor);
        console_remove_client(c->console, c);
        concentrator_add_client_to_gc_queue(c->concentrator, c);
}

bool client_judge(Client *c, int r) {
        int verdict = telnet_connection_verdict(&c->telnet, r);

        if (verdict != 0)
                client_close(c, verdict);
        return c->verdict == 0;
}

static void client_notice_va(Client *c, const char *format, va_list ap) _printf_(2, 0);
static void client_notice_va(Client *c, const char *format, va_list ap) {
        char text[384] = "\r\n[vspc: ";
        size_t n = strlen(text);

        n += (size_t) vsnprintf(text + n, sizeof text - n - 4, format, ap);
        if (n > sizeof text - 5)
                n = text_cut(text, sizeof text - 5);

        int r;
        if (c->record.notices_apart) {
                size_t code = strlen("\r\n[vspc: ") - 1; /* in place of the blank before the text itself */

                text[code] = (char) CLIENT_NOTICE_CODE;
                r = telnet_put_subnegotiation(&c->telnet.stream.out, TELNET_VMWARE, text + code, n - code);
        } else {
                n = (size_t) (stpcpy(text + n, "]\r\n") - text);
                r = buffer_append(&c->telnet.stream.out, text, n);
        }
        if (r < 0)
                client_close(c, TELNET_E_DEAF);
}

void client_notice(Client *c, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        client_notice_va(c, format, ap);
        va_end(ap);
}

void client_tell(Client *c, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (c->telnet.record.mode == TELNET_MODE_TELNET)
                client_notice_va(c, format, ap);
        va_end(ap);
}

bool client_hear(Client *c, const char *who, const char *text) {
        if (c->telnet.record.mode != TELNET_MODE_TELNET || c->telnet.stream.out.size > CLIENT_ANSWERS_MAX / 2)
                return false;

        client_notice(c, "%s says: \"%s\"", who, text);
        return true;
}

/* The last message to a client that speaks telnet. For other verdicts its queue is not sent either. */
static const char *const client_goodbyes[_CLIENT_VERDICT_MAX] = {
        [CLIENT_E_CLEARED] = "disconnected by an administrator",
        [CLIENT_E_FORGOTTEN] = "this VM has been forgotten",
        [CLIENT_E_DISPLACED] = "disconnected",
        [CLIENT_E_FORBIDDEN] = "you have no right to use this VM any more",
};

void client_gc(Client *c) {
        const char *told = client_goodbyes[c->verdict];

        if (told && c->telnet.record.mode == TELNET_MODE_TELNET)
                client_notice(c, "%s", told);
        if (told)
                closer_take(concentrator_closer(c->concentrator), &c->telnet.stream, &c->connection);
        telnet_connection_close(&c->telnet);

        if (!c->record.half_closed) {
                client_log_disconnected(c);
                concentrator_notify(c->concentrator, c->console, CONSOLE_CLIENT_DETACHED, c);
        }

        charge_close(&c->connection);
        free(c);
}

void client_give_up(Client *c) {
        console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_TOO_SLOW, c->record.peer.text,
                    "client %s reads too slowly and is disconnected", c->record.peer.text);
        client_close(c, TELNET_E_DEAF);
}

static void client_update_charges(Client *c) {
        bool paused = !c->telnet.stream.reading && !c->record.half_closed;

        charge_set(&c->connection, sizeof *c + telnet_connection_size(&c->telnet) + c->detection.unread.allocated);
        if (stream_has_progressed(&c->telnet.stream))
                charge_set(&c->waiting, 0); /* makes it the last in the order of giving up */
        charge_set(&c->waiting, stream_waiting(&c->telnet.stream) + (paused ? CLIENT_UNREAD_IN_KERNEL : 0));
}

/* Handlers of the charges: the account wants the memory back. */
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

/*
 * Half-closed clients, such as "printf 'uptime\r' | nc -N". A client that has closed its whole connection looks the same until
 * something is sent to it. So all of them are sent output for a while.
 */

bool client_is_shut_out(const Client *c) {
        return c->record.access != ACCESS_EXCLUSIVE && c->console->holders.n[ACCESS_EXCLUSIVE] > 0;
}

/* The client has closed its sending side. Some of its input may still be unread. */
static void client_begin_half_close(Client *c) {
        timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_HALF_CLOSED), &c->lifetime);
        c->record.lifetime_since = c->lifetime.since_usec;
        if (c->record.half_closed)
                return;

        client_log_disconnected(c);
        console_half_close_client(c->console, c);
}

/* The same, and all its input has been read. */
static void client_half_close(Client *c) {
        if (client_is_shut_out(c) || !stream_end_reading(&c->telnet.stream)) {
                client_close(c, TELNET_E_ENDED);
                return;
        }

        buffer_clear(&c->detection.unread);
        timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_VM_SILENCE), &c->vm_silence);
        client_begin_half_close(c);
}

void client_break_vm_silence(Client *c) {
        if (c->telnet.record.ended)
                timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_VM_SILENCE), &c->vm_silence);
}

void client_vm_silence_elapsed(Timeout *t) {
        Client *c = container_of(t, Client, vm_silence);

        /* The VM cannot answer yet: it has not received all input. */
        if (console_holds_input(c->console))
                client_break_vm_silence(c);
        else
                client_close(c, TELNET_E_ENDED);
}

void client_lifetime_elapsed(Timeout *t) {
        client_close(container_of(t, Client, lifetime), TELNET_E_ENDED);
}

/*
 * Input: from the client
 */

/* Reads or pauses, depending on the console. */
static void client_update_reading(Client *c) {
        /* Input of a read-only client is discarded, so it need not wait for the VM. */
        bool blocked = c->console->input_blocked && c->record.access != ACCESS_READ_ONLY;
        bool reading = c->verdict == 0 && !c->telnet.record.ended && c->telnet.stream.out.size <= CLIENT_ANSWERS_MAX;

        telnet_connection_want(&c->telnet, !reading ? TELNET_WANTS_NOTHING : blocked ? TELNET_WANTS_MODE : TELNET_WANTS_DATA);
}

/* Tells the client why its input does not reach the VM, once each time that another client takes write access. */
static void client_tell_read_only(Client *c) {
        const Client *holder = console_next_obstacle(c->console, ACCESS_MODE_FREE_FOR_ALL, NULL);
        bool watches = c->record.access_mode == ACCESS_MODE_READ_ONLY;
        char text[CLIENT_HOLD_TEXT_MAX];

        if (c->telnet.record.mode != TELNET_MODE_TELNET || (!holder && !watches) || TAKE(c->record.shown_read_only, true))
                return;

        client_notice(c, "read-only: %s", watches ? "the VM does not get what you type" : client_describe_hold(holder, text));
}

/* Passes input to the console, if the client may write. */
static void client_input(Client *c, const uint8_t *data, size_t n) {
        if (c->record.access == ACCESS_READ_ONLY)
                client_tell_read_only(c);
        else
                console_input(c->console, &c->connection, data, n);
        c->record.typed_at = concentrator_now_realtime(c->concentrator);
}

static void client_break(Client *c) {
        if (c->record.access == ACCESS_READ_ONLY)
                client_tell_read_only(c);
        else {
                console_log_limited(c->console, LOG_INFO, VSPC_MESSAGE_BREAK, c->record.peer.text, "client %s sends a break",
                                    c->record.peer.text);
                console_break(c->console, &c->connection);
        }
}

/* Returns: the number of bytes of input that can be taken. The last input of a half-closed client does not wait. */
static size_t client_space(TelnetConnection *t) {
        const Client *c = container_of(t, Client, telnet);

        if (c->record.access == ACCESS_READ_ONLY)
                return TELNET_READ_MAX;

        return t->record.ended ? console_last_words_space(c->console) : console_input_space(c->console);
}

static int client_command(TelnetConnection *t, uint8_t command) {
        Client *c = container_of(t, Client, telnet);
        uint8_t key;

        switch (command) {

        case TELNET_BRK:
                client_break(c);
                break;

        case TELNET_AYT:
                if (!TAKE(c->answered_ayt, true)) /* one answer for each read */
                        client_notice(c, "yes, VM %s is %s", c->console->name,
                                      c->console->connected ? "connected" : "disconnected");
                break;

        default:
                key = telnet_key(command);
                if (key != 0)
                        client_input(c, &key, 1);
                break;
        }

        return c->verdict;
}

/* Passes typed data to the VM. */
static int client_data(TelnetConnection *t, uint8_t *data, size_t n) {
        Client *c = container_of(t, Client, telnet);

        if (t->record.mode == TELNET_MODE_TELNET)
                n = telnet_keyboard_translate(&c->record.keyboard, &t->record.session, data, n);
        client_input(c, data, n);
        return c->verdict;
}

/* The Enter key of Windows' telnet, see telnet_keyboard_is_enter() */
static bool client_takes_whole(TelnetConnection *t, const uint8_t *data, size_t n) {
        Client *c = container_of(t, Client, telnet);

        if (!concentrator_settings(c->concentrator)->windows_enter ||
            !telnet_keyboard_is_enter(&c->record.keyboard, &t->record.session, data, n))
                return false;

        client_input(c, data, 1);
        return true;
}

static int client_negotiate(TelnetConnection *t, const TelnetEvent *event) {
        TelnetAnswer answer;

        int r = telnet_connection_negotiate(t, event, &answer);
        if (r < 0)
                return r;

        return event->option == TELNET_COM_PORT && answer.changed ? client_begin_com_port(container_of(t, Client, telnet)) : 0;
}

/* Only COM-PORT has subnegotiations among the options that we agree to. */
static int client_subnegotiate(TelnetConnection *t, const TelnetEvent *event) {
        Client *c = container_of(t, Client, telnet);

        if (event->option != TELNET_COM_PORT || !client_uses_com_port(c))
                return 0;

        int r = client_confirm_com_port(c, event);
        if (r < 0)
                return r;

        if (com_port_is_break(event))
                client_break(c);
        return c->verdict;
}

/* Called while kept input waits for the VM. */
static void client_await_space(Client *c) {
        if (telnet_detection_waiting(&c->telnet) > 0)
                c->console->input_waits = true;
}

static void client_received(TelnetConnection *t, size_t n) {
        Client *c = container_of(t, Client, telnet);

        if (c->verdict != 0)
                return;

        c->answered_ayt = false;
        if (n > 0 && c->record.half_closed)
                client_begin_half_close(c); /* again from now on */
        client_await_space(c);
        console_changed(c->console);
}

/* Called at the end of the connection, and after errors. */
static void client_closed(TelnetConnection *t, int verdict) {
        Client *c = container_of(t, Client, telnet);
        size_t n = t->record.ended ? telnet_detection_waiting(t) : 0;

        if (c->verdict != 0)
                return;

        if (n > 0)
                console_log(c->console, LOG_NOTICE, NULL, c->record.peer.text,
                            "takes no input: the last %zu bytes that client %s typed are dropped", n, c->record.peer.text);
        if (verdict == TELNET_E_OVERLONG)
                console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_PROTOCOL_VIOLATION, c->record.peer.text,
                            "client %s sent a subnegotiation of more than %u bytes, closing it", c->record.peer.text,
                            TELNET_SUBNEGOTIATION_MAX);
        if (verdict == TELNET_E_ENDED)
                client_half_close(c);
        else
                client_close(c, verdict);
}

/* The client has closed its sending side, or is gone, while it is not read (because its VM takes no input, or because it does
 * not read its answers). Its earlier input waits for a limited time. */
static void client_hung_up(TelnetConnection *t) {
        client_begin_half_close(container_of(t, Client, telnet));
}

void client_input_changed(Client *c) {
        if (!client_judge(c, telnet_detection_deliver(&c->telnet)))
                return;

        client_await_space(c);
        client_update_reading(c);
}

void client_update_access(Client *c) {
        Access access = access_decide(c->record.access_mode, &c->console->holders);

        /* Only clients that have fallen back can get write access again. */
        if (c->verdict != 0 || c->record.access != ACCESS_READ_ONLY || access <= ACCESS_READ_ONLY)
                return;

        telnet_detection_forget(&c->telnet); /* discards what was typed while read-only */
        console_change_access(c->console, c, access);
        if (TAKE(c->record.shown_read_only, false) && c->telnet.record.mode == TELNET_MODE_TELNET)
                client_notice(c, "write lock released, you can type now");
}

void client_restrict(Client *c, const char *format, ...) {
        char why[CLIENT_HOLD_TEXT_MAX];
        va_list ap;

        c->record.access_mode = ACCESS_MODE_READ_ONLY;
        if (c->record.half_closed)
                c->record.access = ACCESS_READ_ONLY; /* a half-closed client is not counted as a holder */
        else
                console_change_access(c->console, c, ACCESS_READ_ONLY);

        va_start(ap, format);
        vsnprintf(why, sizeof why, format, ap);
        va_end(ap);
        c->record.shown_read_only = true;
        client_tell(c, "read-only: %s", why);
}

void client_set_access(Client *c, AccessMode mode, Access access) {
        c->record.access_mode = mode;
        c->record.shown_read_only = false;
        if (access > c->record.access)
                telnet_detection_forget(&c->telnet); /* discards what was typed while read-only */

        console_change_access(c->console, c, access);
        client_tell(c, "you have %s access now", access_to_text(access));
}

void client_flush(Client *c) {
        while (c->verdict == 0 && client_send_next(c))
                ;

        if (c->verdict != 0)
                return;

        client_update_reading(c);
        client_update_charges(c);
}

/*
 * Beginning
 */

static void client_writable(TelnetConnection *t) {
        console_changed(container_of(t, Client, telnet)->console);
}

/* A client that speaks telnet gets the scrollback, unless it has got output already. If the "client" is the port of another VM,
 * it stays raw: otherwise that VM would get scrollback and notices as input. */
static void client_detected(TelnetConnection *t) {
        Client *c = container_of(t, Client, telnet);

        if (t->record.mode == TELNET_MODE_TELNET && !c->record.got_output)
                client_go_to_scrollback(c);
        if (c->telnet.record.reading.joined)
                console_log(c->console, LOG_INFO, NULL, c->record.peer.text, "client %s is the port of another VM (null modem)",
                            c->record.peer.text);
}

static const TelnetHandler client_handler = {
        .line_end = TELNET_CR_LF_IS_CR,
        .out_max = CLIENT_OUT_MAX,
        .answers_max = CLIENT_OUT_MAX,
        .space = client_space,
        .data = client_data,
        .command = client_command,
        .negotiation = client_negotiate,
        .subnegotiation = client_subnegotiate,
        .received = client_received,
        .closed = client_closed,
        .writable = client_writable,
        .hung_up = client_hung_up,
        .detected = client_detected,
        .takes_whole = client_takes_whole,
};

int client_new(Console *console, Wire wire, const ClientRequest *request) {
        assert(request->granted > ACCESS_NONE);

        Concentrator *concentrator = console->concentrator;
        _cleanup_(wire_close) Wire owned = wire;
        _cleanup_free_ Client *c = calloc(1, sizeof(Client));
        if (!c)
                return -ENOMEM;

        int r = ring_enter(&console->ring, &c->record.cursor);
        if (r < 0)
                return r;

        r = telnet_connection_open(&c->telnet, concentrator_poller(concentrator), TAKE(owned, WIRE_PLAIN(-1)), &client_handler);
        if (r >= 0)
                r = buffer_append(&c->telnet.stream.out, request->answer, request->answer_size);
        if (r < 0) {
                telnet_connection_close(&c->telnet);
                ring_leave(&console->ring, &c->record.cursor);
                return r;
        }

        c->concentrator = concentrator;
        c->console = console;
        c->record.console = console->record.number;
        c->right = request->right;
        c->record.access_mode = request->access;
        c->record.access = request->granted;
        c->record.notices_apart = request->notices_apart;
        c->record.shown_connected = true; /* if the VM is away, the first flush tells the client */
        c->record.peer = request->peer;
        c->record.since = concentrator_now_realtime(concentrator);
        charge_open(&c->connection, concentrator_account(concentrator), &c->record.peer.key, CHARGE_CONNECTION,
                    client_connection_given_up);
        charge_open_like(&c->waiting, &c->connection, CHARGE_CLIENT, client_waiting_given_up);
        telnet_connection_begin(&c->telnet, &client_policy);
        telnet_detection_init(&c->telnet, &c->detection, concentrator_timeouts(concentrator, TIMEOUT_DETECTION));
        c->record.keyboard.exact = request->mode == TELNET_MODE_TELNET;
        console_add_client(console, c);
        console_log(console, LOG_INFO, VSPC_MESSAGE_CLIENT_CONNECTED, c->record.peer.text, "client %s connected%s",
                    c->record.peer.text, client_access_remark(c->record.access));

        if (request->mode == TELNET_MODE_TELNET) {
                telnet_session_assume(&c->telnet.record.session, &client_policy);
                if (request->scrollback)
                        client_go_to_scrollback(c);
        } else {
                telnet_detection_begin(&c->telnet);
                (void) telnet_connection_offer(&c->telnet);
        }

        if (client_judge(c, telnet_detection_keep(&c->telnet, request->typed, request->typed_size)))
                client_input_changed(c);
        TAKE_PTR(c);
        return 0;
}
