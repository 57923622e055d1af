/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <utlist.h>

#include "basic/text.h"
#include "client.h"
#include "message.h"
#include "telnet/recognize.h"
#include "transport/socket.h"

static const TelnetPolicy client_policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_us_offered = 3,
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_OPTION_END},
        .n_him_offered = 2,
};

static void client_readable(Stream *s);
static void client_writable(Stream *s);
static void client_hung_up(Stream *s);

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

static void client_go_to_scrollback(Client *c) {
        Ring *ring = &c->console->ring;
        uint64_t position = MIN(ring_scrollback(ring), c->cursor.position);

        ring_move(ring, &c->cursor, MAX(position, ring->begin));
}

static void client_take_typed(Client *c, const void *typed, size_t n);

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

        r = stream_open(&c->stream, concentrator->poller, TAKE(owned, WIRE_PLAIN(-1)), CLIENT_OUT_MAX, &client_handler);
        if (r >= 0)
                r = buffer_append(&c->stream.out, request->answer, request->answer_size);
        if (r < 0) {
                stream_close(&c->stream);
                ring_leave(&console->ring, &c->cursor);
                return r;
        }

        /* Here and not on the VM's listening socket: there are more VMs than clients. */
        socket_tune(wire.fd);

        c->concentrator = concentrator;
        c->console = console;
        c->mode = request->mode;
        c->access_mode = request->access;
        c->access = request->granted;
        c->shown_connected = true; /* of anything else it is told once it can be */
        c->peer = request->peer;
        c->since = event_now_realtime(concentrator->event);
        c->unread = BUFFER_INIT(CLIENT_TYPED_EARLY_MAX);
        telnet_session_init(&c->telnet, TELNET_CR_LF_IS_CR);
        if (c->mode == CLIENT_TELNET)
                telnet_session_assume(&c->telnet, &client_policy);
        console_add_client(console, c);
        console_log(console, LOG_INFO, VSPC_MESSAGE_CLIENT_CONNECTED, c->peer.text, "client %s connected%s",
                    c->peer.text, client_access_remark(c->access));

        if (c->mode == CLIENT_TELNET) {
                if (request->scrollback)
                        client_go_to_scrollback(c);
        } else {
                timeout_start(&concentrator->detections, &c->detection);
                (void) telnet_session_offer(&c->telnet, &client_policy, &c->stream.out);
        }

        client_take_typed(c, request->typed, request->typed_size);
        if (c->mode != CLIENT_DEAD)
                client_update_reading(c);
        client_flush(TAKE_PTR(c));
        return 0;
}

void client_free(Client *c) {
        free(c);
}

static void client_detach(Client *c) {
        timeout_stop(&c->detection);
        c->mode = CLIENT_DEAD;
        buffer_clear(&c->unread);
        console_log(c->console, LOG_INFO, VSPC_MESSAGE_CLIENT_DISCONNECTED, c->peer.text,
                    "client %s disconnected", c->peer.text);
        console_remove_client(c->console, c);
        concentrator_bury_client(c->concentrator, c);
}

void client_end(Client *c) {
        if (c->mode == CLIENT_DEAD)
                return;

        stream_close(&c->stream);
        client_detach(c);
}

const char *client_describe_hold(const Client *c, char buffer[static CLIENT_HOLD_TEXT_MAX]) {
        time_t since = (time_t) (c->since / USEC_PER_SEC);
        char text[sizeof("2026-11-22 10:15:03 UTC")] = "?";
        struct tm tm;

        /* Not the local time: it is in a file that the C library looks at anew. */
        if (gmtime_r(&since, &tm))
                (void) strftime(text, sizeof text, "%F %T UTC", &tm);

        snprintf(buffer, CLIENT_HOLD_TEXT_MAX, "%s has %s access since %s", c->peer.text,
                 access_to_text(c->access), text);
        return buffer;
}

/* Why somebody is not admitted, in words that complete "refused: …". */
static void describe_refusal(const Console *console, AccessMode mode, ConsoleVerdict verdict,
                             char text[static CLIENT_HOLD_TEXT_MAX]) {
        const Client *holder = console_next_obstacle(console, mode, NULL);

        if (verdict == CONSOLE_DENIES_ACCESS && holder)
                client_describe_hold(holder, text);
        else
                snprintf(text, CLIENT_HOLD_TEXT_MAX, "this VM has %u clients already",
                         console_count_clients(console));
}

void client_log_refusal(const Console *console, const ClientRequest *request, ConsoleVerdict verdict) {
        char why[CLIENT_HOLD_TEXT_MAX];

        console->concentrator->metrics.clients_refused++;
        describe_refusal(console, request->access, verdict, why);
        console_log(console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_REFUSED, request->peer.text,
                    "client %s refused: %s%s", request->peer.text, why,
                    verdict == CONSOLE_IS_FULL ? ", as many as ClientLimit= allows" : "");
}

void client_refuse(Console *console, int fd, const ClientRequest *request, ConsoleVerdict verdict) {
        char why[CLIENT_HOLD_TEXT_MAX], text[CLIENT_HOLD_TEXT_MAX + 32];

        client_log_refusal(console, request, verdict);
        describe_refusal(console, request->access, verdict, why);
        snprintf(text, sizeof text, "[vspc: refused, %s]\r\n", why);
        closer_take_fd(&console->concentrator->closer, fd, text);
}

/* A line of ours among the VM's output. Raw clients never get one. */
static void client_notice(Client *c, const char *format, ...) _printf_(2, 3);
static void client_notice(Client *c, const char *format, ...) {
        char text[256] = "\r\n[vspc: ";
        size_t n = strlen(text);
        va_list ap;

        va_start(ap, format);
        n += (size_t) vsnprintf(text + n, sizeof text - n - 4, format, ap);
        va_end(ap);
        if (n > sizeof text - 5)
                n = text_cut(text, sizeof text - 5);
        n = (size_t) (stpcpy(text + n, "]\r\n") - text);

        if (telnet_session_settle(&c->telnet, &c->stream.out) < 0 ||
            buffer_append(&c->stream.out, text, n) < 0)
                client_end(c);
}

void client_end_gently(Client *c, const char *why) {
        if (c->mode == CLIENT_TELNET)
                client_notice(c, "%s", why);
        if (c->mode == CLIENT_DEAD)
                return;

        closer_take(&c->concentrator->closer, &c->stream);
        client_detach(c);
}

/* The ring has gone on without it. A raw client must not be fed a gap. */
static bool client_may_skip(const Client *c) {
        return c->mode == CLIENT_UNDECIDED ||
               (c->mode == CLIENT_TELNET && c->concentrator->settings.slow_client != SLOW_CLIENT_DROP);
}

static void client_give_up(Client *c) {
        console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_TOO_SLOW, c->peer.text,
                    "client %s reads too slowly and is disconnected", c->peer.text);
        client_end(c);
}

static void client_skip(Client *c) {
        Ring *ring = &c->console->ring;
        uint64_t position = ring_scrollback(ring), n = position - c->cursor.position;

        ring_move(ring, &c->cursor, position);
        if (c->mode == CLIENT_UNDECIDED) /* nothing has been sent yet, so nothing is missing */
                return;

        if (c->n_skipped == 0)
                console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_TOO_SLOW, c->peer.text,
                            "client %s reads too slowly and misses output", c->peer.text);

        c->n_skipped += n;
        c->concentrator->metrics.client_bytes_skipped += n;
        client_notice(c, "%" PRIu64 " bytes skipped", n);
}

/* What has been begun of a sequence is ended, so that a command may follow. Returns: @used, or a negative errno. */
static ssize_t client_end_sequence(Client *c, size_t used) {
        int r = telnet_session_settle(&c->telnet, &c->stream.out);

        return r < 0 ? r : (ssize_t) used;
}

/* From the ring straight to the socket, escapes and all. */
static ssize_t client_send_gathered(Client *c, const struct iovec *pieces, size_t n) {
        ssize_t sent = stream_send(&c->stream, pieces, n);

        return sent < 0 ? sent
                        : client_end_sequence(c, telnet_gathered(&c->telnet.out, pieces, n, (size_t) sent));
}

/* By way of the buffer that all share, escapes put in. What the kernel does not take is not kept: the cursor
 * stays before it, except that a sequence once begun is ended. */
static ssize_t client_send_encoded(Client *c, const struct iovec *iov, size_t n) {
        TelnetEncoder before = c->telnet.out;
        uint8_t *out = c->concentrator->encoded;
        size_t size = 0, used = 0;

        for (size_t i = 0; i < n; i++) {
                size_t consumed;

                size += telnet_encode(&c->telnet.out, iov[i].iov_base, iov[i].iov_len, out + size,
                                      CONCENTRATOR_ENCODED_MAX - size, &consumed);
                used += consumed;
                if (consumed < iov[i].iov_len)
                        break;
        }

        ssize_t sent = stream_send(&c->stream, &(struct iovec){out, size}, 1);
        if (sent < 0 || (size_t) sent == size)
                return sent < 0 ? sent : (ssize_t) used;

        /* Once more, to learn how much of the ring the bytes sent stand for. */
        c->telnet.out = before;
        size = used = 0;
        for (size_t i = 0; i < n && size < (size_t) sent; i++) {
                size_t consumed;

                size += telnet_encode(&c->telnet.out, iov[i].iov_base, iov[i].iov_len, out,
                                      (size_t) sent - size, &consumed);
                used += consumed;
        }

        return client_end_sequence(c, used);
}

static size_t iov_size(const struct iovec *iov, size_t n) {
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += iov[i].iov_len;

        return size;
}

/* If less than this much can be sent without a copy, and not all, it is better to encode a whole buffer. */
#define GATHERED_MIN 32768U

static ssize_t client_send_some(Client *c) {
        struct iovec iov[64], pieces[128];
        size_t n = ring_gather(&c->console->ring, c->cursor.position, iov, ELEMENTSOF(iov));

        /* TLS copies anyway, and would make a record of each piece. */
        if (c->stream.tls)
                return client_send_encoded(c, iov, n);

        size_t n_pieces = telnet_gather(&c->telnet.out, iov, n, pieces, ELEMENTSOF(pieces));

        if (iov_size(pieces, n_pieces) >= MIN(iov_size(iov, n), (size_t) GATHERED_MIN))
                return client_send_gathered(c, pieces, n_pieces);

        return client_send_encoded(c, iov, n);
}

/* Having caught up, it is told whether its VM is still there. */
static void client_tell_connected(Client *c) {
        c->shown_connected = c->console->connected;
        client_notice(c, "VM %s", c->shown_connected ? "connected" : "disconnected");
}

static bool client_needs_telling(const Client *c) {
        return c->mode == CLIENT_TELNET && c->shown_connected != c->console->connected;
}

/* Returns: false if there is nothing more that could be done now. */
static bool client_send_next(Client *c) {
        Ring *ring = &c->console->ring;
        bool lost = ring_has_lost(ring, &c->cursor);

        if (lost && !client_may_skip(c)) {
                client_give_up(c);
                return false;
        }

        if (c->stream.blocked)
                return false;

        int r = stream_flush(&c->stream);
        if (r < 0)
                client_end(c);
        if (r <= 0)
                return false;

        if (lost) {
                client_skip(c);
                return true;
        }

        if (c->mode == CLIENT_UNDECIDED)
                return false;

        if (c->cursor.position == ring->end) {
                if (!client_needs_telling(c))
                        return false;

                client_tell_connected(c);
                return true;
        }

        ssize_t n = client_send_some(c);
        if (n < 0) {
                client_end(c);
                return false;
        }

        c->got_output = true;
        c->n_sent += (uint64_t) n;
        c->concentrator->metrics.client_bytes_sent += (uint64_t) n;
        ring_move(ring, &c->cursor, c->cursor.position + (uint64_t) n);
        return true;
}

void client_flush(Client *c) {
        while (c->mode != CLIENT_DEAD && client_send_next(c))
                ;

        if (c->mode != CLIENT_DEAD)
                client_update_reading(c);
}

/* Its VM takes no input, and it has some. What the VM does not hear anyway need not wait. */
static bool client_is_blocked(const Client *c) {
        return c->console->input_blocked && c->access != ACCESS_READ_ONLY;
}

void client_update_reading(Client *c) {
        /* Whether it speaks telnet has to be known even if its VM takes no input: who comes to look at a VM that
         * hangs wants its last words. */
        bool wanted = !client_is_blocked(c) || (c->mode == CLIENT_UNDECIDED && c->unread.size == 0);
        bool reading = c->mode != CLIENT_DEAD && wanted && c->stream.out.size <= CLIENT_ANSWERS_MAX;

        if (reading == c->stream.reading)
                return;

        if (reading)
                stream_resume(&c->stream);
        else
                stream_pause(&c->stream);
}

static void client_writable(Stream *s) {
        Client *c = container_of(s, Client, stream);
        Console *console = c->console;

        client_flush(c);
        console_settle(console);
}

/* It speaks telnet: it gets the scrollback, unless it has had output already. */
static void client_become_telnet(Client *c) {
        timeout_stop(&c->detection);
        c->mode = CLIENT_TELNET;
        c->telnet.out.transmission = TELNET_NVT;

        if (!c->got_output)
                client_go_to_scrollback(c);
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
                console_input(c->console, data, n);
}

/* How much of what it sends can be taken. */
static size_t client_input_space(const Client *c) {
        return c->access == ACCESS_READ_ONLY ? CONCENTRATOR_READ_MAX : console_input_space(c->console);
}

static void client_receive_telnet(Client *c, const uint8_t *p, size_t n);

/* What has been kept, now that it is known what it is. What is left of it afterwards waits for its VM, which takes no
 * more: what is read later must not overtake it. */
static void client_deliver_unread(Client *c) {
        Buffer unread = TAKE(c->unread, BUFFER_INIT(CLIENT_TYPED_EARLY_MAX));
        size_t n;

        while (c->mode > CLIENT_UNDECIDED && c->mode != CLIENT_DEAD &&
               (n = MIN(unread.size, client_input_space(c))) > 0) {
                if (c->mode == CLIENT_TELNET)
                        client_receive_telnet(c, buffer_data(&unread), n);
                else
                        client_input(c, buffer_data(&unread), n);
                buffer_consume(&unread, n);
        }

        if (c->mode == CLIENT_DEAD)
                buffer_clear(&unread);
        c->unread = unread;
}

void client_input_changed(Client *c) {
        client_deliver_unread(c);
        if (c->mode != CLIENT_DEAD)
                client_update_reading(c);
}

/* In TLS there is always something left in the socket, were it only the end: what it is has to be read. */
static bool client_has_last_words(Client *c) {
        size_t space = buffer_space(&c->unread);
        uint8_t *p = c->stream.tls && space > 0 ? buffer_reserve(&c->unread, space) : NULL;

        if (p)
                buffer_commit(&c->unread, (size_t) MAX(stream_read(&c->stream, p, space), 0));

        return c->unread.size > 0 || (!c->stream.ended && stream_has_unread(&c->stream));
}

/* It has gone while its VM takes no input. What it has typed last waits for the VM; what it held does not. */
static void client_hung_up(Stream *s) {
        Client *c = container_of(s, Client, stream);

        if (client_has_last_words(c))
                console_change_access(c->console, c, ACCESS_NONE);
        else
                client_end(c);
}

static void client_take_typed(Client *c, const void *typed, size_t n) {
        if (buffer_append(&c->unread, typed, n) < 0) {
                client_end(c);
                return;
        }

        client_deliver_unread(c);
}

void client_update_access(Client *c) {
        Access access = access_decide(c->access_mode, &c->console->holders);

        /* Only who has fallen back can rise again. */
        if (c->mode == CLIENT_DEAD || c->access != ACCESS_READ_ONLY || access <= ACCESS_READ_ONLY)
                return;

        /* What it has typed in vain is not typed later. */
        buffer_clear(&c->unread);
        console_change_access(c->console, c, access);
        if (TAKE(c->shown_read_only, false) && c->mode == CLIENT_TELNET)
                client_notice(c, "nobody holds write access any more: what you type is heard");
        client_flush(c);
}

void client_detection_elapsed(Timeout *t) {
        Client *c = container_of(t, Client, detection);
        Console *console = c->console;

        c->mode = CLIENT_RAW;
        c->telnet.out.transmission = TELNET_RAW;

        client_deliver_unread(c);
        client_flush(c);
        console_flush_input(console);
}

static void client_command(Client *c, uint8_t command, bool *answered) {
        switch (command) {

        case TELNET_BRK:
                if (c->access == ACCESS_READ_ONLY)
                        client_tell_read_only(c);
                else
                        console_break(c->console);
                break;

        case TELNET_AYT:
                if (!*answered) /* once for a read is answer enough */
                        client_notice(c, "yes, VM %s is %s", c->console->name,
                                      c->console->connected ? "connected" : "disconnected");
                *answered = true;
                break;

        default:
                break;
        }
}

static void client_receive_telnet(Client *c, const uint8_t *p, size_t n) {
        bool answered = false;

        while (n > 0 && c->mode != CLIENT_DEAD) {
                TelnetEvent event;
                TelnetAnswer answer;
                size_t used = telnet_decode(&c->telnet.in, p, n, &event);

                p += used;
                n -= used;

                switch (event.type) {

                case TELNET_EVENT_DATA:
                        client_input(c, event.data, event.size);
                        break;

                case TELNET_EVENT_COMMAND:
                        client_command(c, event.command, &answered);
                        break;

                case TELNET_EVENT_NEGOTIATION:
                        if (telnet_session_negotiate(&c->telnet, &client_policy, &event, &c->stream.out,
                                                     &answer) < 0)
                                client_end(c);
                        break;

                case TELNET_EVENT_OVERLONG:
                        console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_PROTOCOL_VIOLATION, c->peer.text,
                                    "client %s sent a subnegotiation of more than %u bytes, closing it",
                                    c->peer.text, TELNET_SUBNEGOTIATION_MAX);
                        client_end(c);
                        break;

                case TELNET_EVENT_SUBNEGOTIATION: /* of options that we have agreed to none has any */
                case TELNET_EVENT_NONE:
                        break;
                }
        }
}

static void client_keep(Client *c, const uint8_t *p, size_t n) {
        if (buffer_append(&c->unread, p, n) < 0)
                client_end(c);
}

/* Bytes from a client that has not spoken telnet so far. */
static void client_receive_unrecognized(Client *c, const uint8_t *p, size_t n) {
        _cleanup_free_ uint8_t *joined = NULL;

        if (c->unread.size > 0) {
                joined = malloc(c->unread.size + n);
                if (!joined) {
                        client_end(c);
                        return;
                }

                memcpy(mempcpy(joined, buffer_data(&c->unread), c->unread.size), p, n);
                p = joined;
                n += c->unread.size;
                buffer_clear(&c->unread);
        }

        TelnetRecognition recognition = telnet_recognize(&c->telnet.options, p, n);
        if (!c->spoken && n <= CLIENT_TYPED_AHEAD_MAX && telnet_contains_answer(&c->telnet.options, p, n))
                recognition = TELNET_RECOGNIZED;
        c->spoken = true;

        switch (recognition) {

        case TELNET_RECOGNIZED:
                client_become_telnet(c);
                client_receive_telnet(c, p, n);
                break;

        case TELNET_MAYBE:
                /* Held back only while it is open what the client is: a raw one's bytes wait for nothing. */
                if (c->mode == CLIENT_UNDECIDED && n <= CLIENT_PREFIX_MAX)
                        client_keep(c, p, n);
                else
                        client_input(c, p, n);
                break;

        case TELNET_NOT_RECOGNIZED:
                if (client_is_blocked(c))
                        client_keep(c, p, n);
                else
                        client_input(c, p, n);
                break;
        }
}

/* What it has sent and cannot be known to be telnet any more is input. */
static void client_say_last_words(Client *c) {
        if (c->unread.size > 0 && c->mode != CLIENT_TELNET)
                client_input(c, buffer_data(&c->unread), c->unread.size);
}

static size_t client_read_max(const Client *c) {
        /* While the VM takes no input this is a client of which it is not known yet what it is. */
        if (client_is_blocked(c))
                return CLIENT_PREFIX_MAX - MIN(c->unread.size, (size_t) CLIENT_PREFIX_MAX);

        /* What has been kept of it comes on top of this read. */
        size_t space = client_input_space(c);
        return c->unread.size > 0 ? MAX(space, c->unread.size + 1) - c->unread.size : space;
}

static void client_readable(Stream *s) {
        Client *c = container_of(s, Client, stream);
        Concentrator *concentrator = c->concentrator;
        Console *console = c->console;

        size_t max = client_read_max(c);
        if (max == 0) {
                console_settle(console);
                return;
        }

        ssize_t n = stream_read(s, concentrator->input, max);
        if (n == -EAGAIN)
                return;
        if (n <= 0) {
                client_say_last_words(c);
                client_end(c);
                console_flush_input(console);
                return;
        }

        bool begins = !TAKE(c->cut, (size_t) n == max), ends = !c->cut;

        if (c->mode == CLIENT_TELNET)
                client_receive_telnet(c, concentrator->input, (size_t) n);
        else if (c->mode == CLIENT_RAW && c->unread.size == 0 && !(begins && ends))
                /* A part of something longer: that it is nothing but commands means nothing. */
                client_input(c, concentrator->input, (size_t) n);
        else
                client_receive_unrecognized(c, concentrator->input, (size_t) n);

        if (c->mode != CLIENT_DEAD)
                client_flush(c);
        console_flush_input(console);
}
