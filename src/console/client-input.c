/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a client sends: whether it speaks telnet, what its VM gets of it, and what waits until its VM takes it. */

#include "client.h"
#include "message.h"

/* Its VM takes no input, and it has some. What the VM does not hear anyway need not wait. */
static bool client_is_blocked(const Client *c) {
        return c->console->input_blocked && c->access != ACCESS_READ_ONLY;
}

/* Starts the timer for silence: it elapses unless something comes within TELNET_SILENCE_USEC. */
static void client_await_silence(Client *c) {
        if (c->mode == CLIENT_UNDECIDED || c->mode == CLIENT_RAW)
                timeout_start_now(concentrator_timeouts(c->concentrator, TIMEOUT_SILENCE), &c->silence);
}

/* Whether the only byte that was kept is an IAC that came after silence: the second byte of a break may follow. */
static bool client_unread_is_half_a_break(const Client *c) {
        return c->reading.after_silence && c->unread.size == 1 && buffer_data(&c->unread)[0] == TELNET_IAC;
}

/* Whether the bytes that were kept may still become a command, so that they wait for more. */
static bool client_unread_is_open(const Client *c) {
        if (c->mode != CLIENT_TELNET && c->detection.queue)
                return c->unread.size > 0 && buffer_data(&c->unread)[0] == TELNET_IAC && !c->reading.begins_with_break;

        return c->mode == CLIENT_RAW && client_unread_is_half_a_break(c);
}

void client_update_reading(Client *c) {
        /* Whether it speaks telnet has to be known even if its VM takes no input: who comes to look at a VM that
         * hangs wants its last words. */
        bool unknown = c->mode == CLIENT_UNDECIDED && (c->unread.size == 0 || client_unread_is_open(c)) &&
                       c->unread.size < CLIENT_PREFIX_MAX;
        bool wanted = !client_is_blocked(c) || unknown;
        bool reading = c->verdict == 0 && !c->ended && wanted && c->telnet.stream.out.size <= CLIENT_ANSWERS_MAX;

        if (reading == c->telnet.stream.reading)
                return;

        if (reading) {
                stream_resume(&c->telnet.stream);
                client_await_silence(c);
        } else {
                stream_pause(&c->telnet.stream);

                /* What the client sends while it is not read is not seen, so there is no silence to speak of. Bytes
                 * that were kept came before. */
                if (c->unread.size == 0)
                        c->reading.after_silence = false;
        }
}

/* Why its VM does not hear it, once for each time that somebody else has taken the right to write. */
static void client_tell_read_only(Client *c) {
        const Client *holder = console_next_obstacle(c->console, ACCESS_MODE_FREE_FOR_ALL, NULL);
        char text[CLIENT_HOLD_TEXT_MAX];

        if (c->mode != CLIENT_TELNET || !holder || TAKE(c->shown_read_only, true))
                return;

        client_notice(c, "read-only: %s", client_describe_hold(holder, text));
}

/* To its VM, if it may. */
static void client_input(Client *c, const uint8_t *data, size_t n) {
        if (c->access == ACCESS_READ_ONLY)
                client_tell_read_only(c);
        else
                console_input(c->console, &c->connection, data, n);
}

void client_break(Client *c) {
        if (c->access == ACCESS_READ_ONLY)
                client_tell_read_only(c);
        else
                console_break(c->console, &c->connection);
}

/* How much of what it sends can be taken. */
static size_t client_input_space(const Client *c) {
        return c->access == ACCESS_READ_ONLY ? CONCENTRATOR_READ_MAX : console_input_space(c->console);
}

static int client_command(TelnetConnection *t, uint8_t command) {
        Client *c = container_of(t, Client, telnet);
        uint8_t key;

        switch (command) {

        case TELNET_BRK:
                client_break(c);
                break;

        case TELNET_AYT:
                if (!TAKE(c->answered_ayt, true)) /* once for a read is answer enough */
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

/* Gives the VM what the client's user has typed. @data lies in a buffer of ours, so it can be translated in place. */
static int client_data(TelnetConnection *t, const uint8_t *data, size_t n) {
        Client *c = container_of(t, Client, telnet);

        client_input(c, data, telnet_keyboard_translate(&c->keyboard, &t->session, (uint8_t *) data, n));
        return c->verdict;
}

/* Whether the client has accepted or refused our WILL BINARY. */
static bool client_has_answered_binary(const Client *c) {
        return telnet_option_state(&c->telnet.session.options, TELNET_US, TELNET_BINARY) != TELNET_Q_WANTYES;
}

static int client_negotiate(TelnetConnection *t, const TelnetEvent *event) {
        Client *c = container_of(t, Client, telnet);
        TelnetAnswer answer;

        int r = telnet_connection_negotiate(t, event, &answer);
        if (r < 0)
                return r;

        if (c->awaits_binary && client_has_answered_binary(c)) {
                c->awaits_binary = false;
                timeout_stop(&c->detection);
        }

        return event->option == TELNET_COM_PORT && answer.changed ? client_begin_com_port(c) : 0;
}

/* Of the options that we agree to, only COM-PORT has any. */
static int client_subnegotiate(TelnetConnection *t, const TelnetEvent *event) {
        return event->option == TELNET_COM_PORT ? client_handle_com_port(container_of(t, Client, telnet), event) : 0;
}

const TelnetHandler client_telnet_handler = {
        .data = client_data,
        .command = client_command,
        .negotiation = client_negotiate,
        .subnegotiation = client_subnegotiate,
};

static void client_receive_telnet(Client *c, const uint8_t *p, size_t n) {
        if (concentrator_settings(c->concentrator)->windows_enter && !c->reading.cut &&
            telnet_keyboard_is_enter(&c->keyboard, &c->telnet.session, p, n)) {
                client_input(c, p, 1);
                return;
        }

        c->answered_ayt = false;
        int r = telnet_connection_receive(&c->telnet, p, n);
        if (r == -EMSGSIZE)
                console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_PROTOCOL_VIOLATION, c->peer.text,
                            "client %s sent a subnegotiation of more than %u bytes, closing it", c->peer.text,
                            TELNET_SUBNEGOTIATION_MAX);
        if (r != 0)
                client_close(c, r == -EMSGSIZE ? CLIENT_E_OVERLONG : r == -ENOBUFS ? CLIENT_E_DEAF : r);
}

/* Sends the VM the breaks at the beginning of @p. Returns: how many bytes these were. */
static size_t client_deliver_breaks(Client *c, const uint8_t *p, size_t n) {
        size_t length = telnet_breaks_length(p, n);

        for (size_t i = 0; i < length; i += 2)
                client_break(c);

        return length;
}

/* What has been kept, once it is known what it is. What is left of it afterwards waits for its VM, which takes no
 * more: what is read later must not overtake it. */
static void client_deliver_unread(Client *c) {
        if (client_unread_is_open(c))
                return;

        Buffer unread = TAKE(c->unread, BUFFER_INIT(CLIENT_TYPED_EARLY_MAX));
        size_t n;

        while (c->verdict == 0 && (n = MIN(unread.size, client_input_space(c))) > 0) {
                if (c->mode == CLIENT_TELNET)
                        client_receive_telnet(c, buffer_data(&unread), n);
                else if (TAKE(c->reading.begins_with_break, false))
                        n = client_deliver_breaks(c, buffer_data(&unread), unread.size);
                else
                        client_input(c, buffer_data(&unread), n);
                buffer_consume(&unread, n);
        }

        if (c->verdict != 0)
                buffer_clear(&unread);
        c->unread = unread;
        if (unread.size > 0)
                c->console->input_waits = true;
}

void client_input_changed(Client *c) {
        client_deliver_unread(c);
        if (c->verdict == 0)
                client_update_reading(c);
}

void client_forget_typed(Client *c) {
        if (client_unread_is_open(c))
                return;

        buffer_clear(&c->unread);
        c->reading.begins_with_break = false;
}

void client_take_typed(Client *c, const void *typed, size_t n) {
        if (buffer_append(&c->unread, typed, n) < 0) {
                client_close(c, -ENOMEM);
                return;
        }

        client_deliver_unread(c);
}

static void client_become_raw(Client *c) {
        timeout_stop(&c->detection);
        c->mode = CLIENT_RAW;
        c->reading.late = true;
        c->telnet.session.out.transmission = TELNET_RAW;
}

void client_binary_elapsed(Timeout *t) {
        Client *c = container_of(t, Client, detection);

        c->awaits_binary = false;
        console_changed(c->console);
}

/* It speaks telnet: it gets the scrollback, unless it has had output already. */
static void client_become_telnet(Client *c) {
        c->awaits_binary = true;
        timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_BINARY), &c->detection);
        timeout_stop(&c->silence);
        c->mode = CLIENT_TELNET;
        c->telnet.session.out.transmission = TELNET_NVT;

        if (!c->got_output)
                client_go_to_scrollback(c);
}

/* The time to wait for more is over: decides whether the client is telnet or raw by what it has sent so far. That may be
 * the beginning of our own offers. */
static void client_decide(Client *c) {
        TelnetReadFlags flags = c->reading.late ? TELNET_READ_LATE : 0;

        c->begun |= c->unread.size > 0;
        if (c->unread.size > 0 && !c->reading.begins_with_break &&
            telnet_recognize(&c->telnet.session.options, flags, buffer_data(&c->unread), c->unread.size) == TELNET_RECOGNIZED)
                client_become_telnet(c);
        else
                client_become_raw(c);

        client_deliver_unread(c);
}

void client_detection_elapsed(Timeout *t) {
        Client *c = container_of(t, Client, detection);

        /* The loop may have been busy: what has come in time is read first. */
        if (c->telnet.stream.reading && stream_has_unread(&c->telnet.stream))
                client_readable(&c->telnet.stream);
        if (c->verdict == 0 && (c->mode == CLIENT_UNDECIDED || (c->mode == CLIENT_RAW && c->unread.size > 0)))
                client_decide(c);
        console_changed(c->console);
}

static void client_keep(Client *c, const uint8_t *p, size_t n) {
        if (buffer_append(&c->unread, p, n) < 0)
                client_close(c, -ENOMEM);
}

/* These bytes are data: the client has not spoken telnet so far. */
static void client_receive_data(Client *c, const uint8_t *p, size_t n) {
        c->reading.late = true;
        c->reading.after_silence = false;

        if (client_is_blocked(c))
                client_keep(c, p, n);
        else
                client_input(c, p, n);
}

/* Whether the beginning of a command may wait for the rest. A raw client's bytes wait for nothing, but for an IAC that
 * may be the first half of a break. */
static bool client_may_keep(const Client *c, size_t n) {
        return c->mode == CLIENT_UNDECIDED ? n <= CLIENT_PREFIX_MAX : n == 1 && c->reading.after_silence;
}

/* @p begins with breaks, see TELNET_BREAK. The client stays raw, or undecided. */
static void client_receive_break(Client *c, const uint8_t *p, size_t n) {
        c->reading.after_silence = false;

        if (client_is_blocked(c)) {
                c->reading.begins_with_break = true;
                client_keep(c, p, n);
                return;
        }

        size_t length = client_deliver_breaks(c, p, n);
        if (length < n)
                client_receive_data(c, p + length, n - length);
}

void client_silence_elapsed(Timeout *t) {
        Client *c = container_of(t, Client, silence);

        if (!c->telnet.stream.reading)
                return;

        /* The loop was busy and has not read this yet: perhaps there was no silence before it. */
        if (stream_has_unread(&c->telnet.stream)) {
                client_await_silence(c);
                return;
        }

        /* Nothing has followed the last read. An IAC that waited for its second byte is data. */
        c->reading.cut = c->reading.after_silence = false;
        client_deliver_unread(c);
        c->reading.after_silence = c->unread.size == 0;
}

/* The port of another VM is at the other end. Scrollback and notices are for people: here they would be typed
 * into that VM. */
static void client_join(Client *c) {
        c->null_modem = true;
        client_become_raw(c);
        console_log(c->console, LOG_INFO, NULL, c->peer.text, "client %s is the port of another VM (null modem)",
                    c->peer.text);
}

/* A raw client's first bytes wait for more only if they have at least one whole command (IAC WILL option) of our
 * offers. */
#define LATE_BEGINNING_MIN 3U

/* Looks whether the client's first bytes are our own offers. Returns: how many bytes the caller need not handle; all
 * of them if they are kept because more are needed to know. */
static size_t client_take_beginning(Client *c, const uint8_t *p, size_t n) {
        size_t size;
        TelnetRecognition recognition = telnet_recognize_offers(&client_policy, p, n, &size);

        if (recognition == TELNET_MAYBE && (c->mode == CLIENT_UNDECIDED || n >= LATE_BEGINNING_MIN)) {
                if (c->mode == CLIENT_RAW)
                        timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_DETECTION), &c->detection);
                client_keep(c, p, n);
                return n;
        }

        c->begun = true;
        if (c->mode == CLIENT_RAW)
                timeout_stop(&c->detection);
        if (recognition != TELNET_RECOGNIZED)
                return 0;

        client_join(c);
        return size;
}

/* Bytes from a client that has not spoken telnet so far. @cut: there may be more of them. */
static void client_receive_unrecognized(Client *c, const uint8_t *p, size_t n, bool cut) {
        TelnetReadFlags flags = (c->reading.late ? TELNET_READ_LATE : 0) | (cut ? TELNET_READ_CUT : 0) |
                                (c->reading.after_silence ? TELNET_READ_AFTER_SILENCE : 0);
        _cleanup_free_ uint8_t *joined = NULL;

        if (c->unread.size > 0) {
                joined = malloc(c->unread.size + n);
                if (!joined) {
                        client_close(c, -ENOMEM);
                        return;
                }

                memcpy(mempcpy(joined, buffer_data(&c->unread), c->unread.size), p, n);
                p = joined;
                n += c->unread.size;
                buffer_clear(&c->unread);
        }

        if (!c->begun) {
                size_t taken = client_take_beginning(c, p, n);

                p += taken;
                n -= taken;
        }
        if (n == 0)
                return;

        TelnetRecognition recognition = c->null_modem ? TELNET_NOT_RECOGNIZED
                                                      : telnet_recognize(&c->telnet.session.options, flags, p, n);
        if (recognition == TELNET_RECOGNIZED) {
                client_become_telnet(c);
                client_receive_telnet(c, p, n);
        } else if (recognition == TELNET_BREAK)
                client_receive_break(c, p, n);
        else if (recognition == TELNET_MAYBE && client_may_keep(c, n))
                client_keep(c, p, n);
        else
                client_receive_data(c, p, n);
}

static size_t client_read_max(const Client *c) {
        /* While the VM takes no input this is a client of which it is not known yet what it is. */
        if (client_is_blocked(c))
                return CLIENT_PREFIX_MAX - MIN(c->unread.size, (size_t) CLIENT_PREFIX_MAX);

        size_t space = client_input_space(c);

        /* However little room there is: a break is read whole, and one byte more shows that nothing follows it. */
        if (c->mode != CLIENT_TELNET && c->reading.after_silence)
                space = MAX(space, (size_t) TELNET_BREAK_MAX + 1);

        /* What has been kept of it comes on top of this read. */
        return c->unread.size > 0 ? MAX(space, c->unread.size + 1) - c->unread.size : space;
}

/* What it has sent and cannot be known to be telnet any more is input. */
static void client_say_last_words(Client *c) {
        if (c->mode == CLIENT_UNDECIDED)
                client_decide(c);
        if (c->unread.size == 0 || c->verdict != 0)
                return;
        if (c->unread.size > console_last_words_space(c->console)) {
                console_log(c->console, LOG_NOTICE, NULL, c->peer.text,
                            "takes no input: the last %zu bytes that client %s typed are dropped", c->unread.size,
                            c->peer.text);
                return;
        }

        if (c->mode == CLIENT_TELNET) {
                Buffer words = TAKE(c->unread, BUFFER_INIT(CLIENT_TYPED_EARLY_MAX));

                client_receive_telnet(c, buffer_data(&words), words.size);
                buffer_clear(&words);
                return;
        }

        if (TAKE(c->reading.begins_with_break, false))
                buffer_consume(&c->unread, client_deliver_breaks(c, buffer_data(&c->unread), c->unread.size));

        if (c->unread.size > 0)
                client_input(c, buffer_data(&c->unread), c->unread.size);
}

/* All that it has sent has been read. @n: see stream_read() */
static void client_end_input(Client *c, ssize_t n) {
        client_say_last_words(c);
        if (n == 0 && c->verdict == 0)
                client_half_close(c);
        else
                client_close(c, CLIENT_E_ENDED);
}

void client_readable(Stream *s) {
        Client *c = container_of(s, Client, telnet.stream);
        Concentrator *concentrator = c->concentrator;

        size_t max = client_read_max(c);
        if (max == 0) { /* the room has been filled since it was last looked at, and it is still read */
                stream_resume(s);
                console_changed(c->console);
                return;
        }

        ssize_t n = stream_read(s, concentrator_read_buffer(concentrator), max);
        if (n == -EAGAIN)
                return;
        if (n <= 0) {
                client_end_input(c, n);
                return;
        }

        client_await_silence(c);
        if (c->half_closed)
                client_begin_half_close(c); /* again from now on */

        bool continues = TAKE(c->reading.cut, (size_t) n == max) && c->reading.late && c->unread.size == 0;

        if (c->mode == CLIENT_TELNET)
                client_receive_telnet(c, concentrator_read_buffer(concentrator), (size_t) n);
        else if (continues) /* what it looks like, in the middle of something longer, means nothing */
                client_receive_data(c, concentrator_read_buffer(concentrator), (size_t) n);
        else
                client_receive_unrecognized(c, concentrator_read_buffer(concentrator), (size_t) n, c->reading.cut);

        console_changed(c->console);
}

/* It has ended its sending side, or gone, while it is not read: while its VM takes no input, or while it does not read its
 * answers. If there is something left that it has sent, that waits until it can be read, for a time. */
void client_hung_up(Stream *s) {
        Client *c = container_of(s, Client, telnet.stream);

        if (stream_has_unread(s) || s->tls)
                client_begin_half_close(c);
        else
                client_end_input(c, 0);
}
