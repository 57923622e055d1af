/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>
#include <utlist.h>

#include "console-vmotion.h"
#include "link.h"
#include "message.h"

static void link_readable(Stream *s);
static void link_writable(Stream *s);
static void link_stepped(Stream *s);

static const StreamHandler link_handler = {
        .readable = link_readable,
        .writable = link_writable,
        .stepped = link_stepped,
};

/* Of one that has no console: what all of these have logged is bounded. */
static void link_log_stranger(const Link *l, int level, const char *message_id, const char *message) {
        const LogField peer = {"VSPC_PEER=", l->peer};
        const LogFields fields = {.message_id = message_id, .field = &peer, .n_fields = 1};
        unsigned n_left_out = 0;

        if (level < LOG_DEBUG && !log_burst_pass(&l->concentrator->strangers, event_now(l->concentrator->event),
                                                 &n_left_out))
                return;
        if (n_left_out > 0)
                log_notice("%u lines about connections that are no VM's were left out, there were so many", n_left_out);

        log_full(level, 0, &fields, "Connection from %s: %s", l->peer, message);
}

static void link_vlog(const Link *l, int level, const char *message_id, const char *format, va_list ap)
                _printf_(4, 0);
static void link_vlog(const Link *l, int level, const char *message_id, const char *format, va_list ap) {
        char message[LOG_MESSAGE_MAX];

        vsnprintf(message, sizeof message, format, ap);
        if (l->console)
                console_log(l->console, level, message_id, l->peer, "%s", message);
        else
                link_log_stranger(l, level, message_id, message);
}

void link_log(const Link *l, int level, const char *message_id, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        link_vlog(l, level, message_id, format, ap);
        va_end(ap);
}

void link_log_said(const Link *l, int level, const char *message_id, const char *format, ...) {
        va_list ap;

        if (l->console && !console_may_log_said(l->console))
                return;

        va_start(ap, format);
        link_vlog(l, level, message_id, format, ap);
        va_end(ap);
}

void link_refuse(Link *l, const char *text) {
        (void) telnet_session_settle(&l->telnet, &l->stream.out);
        (void) buffer_append(&l->stream.out, text, strlen(text));
        link_end_gently(l);
}

/* The account wants its memory back. Most likely it is no ESXi host: that would have said which VM it is within
 * milliseconds. */
static bool link_given_up(Charge *charge) {
        link_end(container_of(charge, Link, charge));
        return true;
}

void link_update_charge(Link *l) {
        if (l->state == LINK_HANDSHAKE)
                charge_set(&l->charge, sizeof *l + stream_tls_size(&l->stream) + l->stream.out.allocated +
                                               l->pending.allocated);
        else
                charge_close(&l->charge);
}

int link_new(Concentrator *c, int fd, const SocketAddress *peer) {
        Link *l = calloc(1, sizeof(Link));
        if (!l) {
                safe_close(fd);
                return -ENOMEM;
        }

        int r = stream_open(&l->stream, c->poller, WIRE_PLAIN(fd), LINK_OUT_MAX, &link_handler);
        if (r < 0) {
                free(l);
                return r;
        }

        l->concentrator = c;
        l->pending = BUFFER_INIT(LINK_PENDING_MAX);
        address_format(peer, l->peer);
        const AccountKey key = account_key_of_address(peer);
        charge_open(&l->charge, c->account, &key, CHARGE_STRANGER, link_given_up);
        telnet_session_init(&l->telnet, TELNET_CR_LF_KEPT);
        com_port_init(&l->com_port);
        DL_APPEND(c->links, l);
        c->n_links++;
        timeout_start(&c->handshakes, &l->timeout);

        /* Where it may be TLS, nothing can be said before the host has. */
        if (c->closed)
                link_refuse_closed(l);
        else if (!c->tls)
                link_begin_plain(l);

        /* ESXi speaks at once: more often than not its first bytes are there, and all can be said in one. */
        if (l->state != LINK_DEAD)
                link_readable(&l->stream);
        link_flush(l);
        return 0;
}

void link_free(Link *l) {
        buffer_clear(&l->pending);
        free(l->uri);
        free(l->name);
        free(l);
}

bool link_deliver_pending(Link *l) {
        if (!link_is_identified(l) || l->predecessor || l->pending.size == 0 ||
            !console_has_room(l->console, l->pending.size))
                return false;

        console_output(l->console, buffer_data(&l->pending), l->pending.size);
        buffer_clear(&l->pending);
        link_update_reading(l);
        return true;
}

static void link_leave_predecessor(Link *l) {
        timeout_stop(&l->succession);
        TAKE_PTR(l->predecessor)->successor = NULL;
}

/* The source has said all that it will: its target's output goes out. */
static void link_succeed(Link *l) {
        link_leave_predecessor(l);
        (void) link_deliver_pending(l);
        link_update_reading(l);
        console_pump(l->console);
}

static void link_close(Link *l) {
        Console *console = l->console;
        bool was_live = l->state == LINK_LIVE;

        if (!console)
                l->concentrator->metrics.vm_connections_refused++;

        if (was_live)
                link_log(l, LOG_INFO, VSPC_MESSAGE_VM_DISCONNECTED, "its connection from %s has ended", l->peer);

        if (l->predecessor)
                link_leave_predecessor(l);
        if (link_is_identified(l) && l->pending.size > 0) /* its last words, and no other chance */
                console_output(console, buffer_data(&l->pending), l->pending.size);

        l->console = NULL;
        l->state = LINK_DEAD;
        timeout_stop(&l->timeout);
        timeout_stop(&l->question);
        link_leave_doubts(l);
        link_update_charge(l);
        buffer_clear(&l->pending);

        /* Before the vMotion is settled and anybody told: what its successor kept comes next. */
        if (l->successor)
                link_succeed(l->successor);

        if (console)
                console_remove_link(console, l);
        if (l->vmotion)
                vmotion_link_closed(l->vmotion, l);
        if (console) {
                console_pump(console); /* also what a vMotion's target has said so far, if that has won */
                if (was_live && console_speaker(console)) /* the VM has another connection, whose peer is told from now on */
                        concentrator_notify(l->concentrator, console, CONSOLE_CHANGED, NULL);
                link_settle_doubts(console);
        }

        concentrator_bury_link(l->concentrator, l);
}

void link_end(Link *l) {
        if (l->state == LINK_DEAD)
                return;

        stream_close(&l->stream);
        link_close(l);
}

void link_end_gently(Link *l) {
        if (l->state == LINK_DEAD)
                return;

        closer_take(&l->concentrator->closer, &l->stream, charge_is_open(&l->charge) ? &l->charge : NULL);
        link_close(l);
}

void link_fail(Link *l, int error, const char *what) {
        if (l->state != LINK_DEAD)
                link_log(l, LOG_INFO, NULL, "%s: %s", what, strerror(-error));

        link_end(l);
}

bool link_answered(Link *l, size_t queued, int r) {
        if (l->state == LINK_DEPARTED)
                buffer_clear(&l->stream.out);
        else if (r >= 0)
                l->answers += l->stream.out.size - queued;
        if (r >= 0 && l->answers > LINK_LIVE_ANSWERS_MAX)
                r = -ENOBUFS;
        if (r < 0)
                link_fail(l, r, "does not read our answers");

        return r >= 0;
}

static size_t link_read_max(const Link *l) {
        return link_is_heard(l) ? MIN((size_t) CONCENTRATOR_READ_MAX, console_output_space(l->console))
                                : LINK_HANDSHAKE_READ_MAX;
}

/* It has been closed, or has broken. */
static void link_ended(Link *l, int error) {
        if (error == -EPROTO)
                link_log(l, LOG_NOTICE, link_is_identified(l) ? NULL : VSPC_MESSAGE_VM_REFUSED, "TLS has failed: %s",
                         stream_problem(&l->stream));
        else if (!link_is_identified(l))
                link_log(l, LOG_DEBUG, NULL, "closed before saying which VM it is");

        link_end(l);
}

static void link_readable(Stream *s) {
        Link *l = container_of(s, Link, stream);
        Concentrator *c = l->concentrator;

        if (l->security == LINK_UNDECIDED && !link_begin(l))
                return;

        ssize_t n = stream_read(s, c->input, link_read_max(l));
        if (n == -EAGAIN)
                return;
        if (n <= 0) {
                link_ended(l, (int) n);
                return;
        }

        if (!l->spoken && l->security == LINK_PLAIN && c->input[0] == LINK_TLS_FIRST_BYTE) {
                link_log(l, LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED,
                         "begins TLS, for which there is no certificate: give one in CertificateFile=, or use "
                         "telnet:// in the vSPC URI, not telnets://");
                link_end(l);
                return;
        }

        l->spoken = l->talked = true;
        link_receive(l, c->input, (size_t) n);
        if (l->state == LINK_DEAD)
                return;

        link_flush(l);
        if (l->state != LINK_DEAD && l->console)
                console_pump(l->console);
}

static void link_writable(Stream *s) {
        link_flush(container_of(s, Link, stream));
}

static void link_stepped(Stream *s) {
        link_update_charge(container_of(s, Link, stream));
}

/*
 * A vMotion's source may close at any moment after the go-ahead, and its host may still have much to send then:
 * one byte to a socket that has been closed, and TCP throws all of that away. So it is sent nothing more. What
 * it would have been answered waits until it is known that it stays; if it departs it needs no answer.
 */
static bool link_is_muted(const Link *l) {
        const VMotion *v = l->vmotion;

        return l->state == LINK_DEPARTED || (v && v->source == l && v->went_ahead && vmotion_state_holds(v->state));
}

void link_flush(Link *l) {
        if (l->state == LINK_DEAD)
                return;

        if (link_is_muted(l)) {
                link_update_reading(l);
                return;
        }

        size_t queued = l->stream.out.size;
        int r = stream_flush(&l->stream);
        if (r < 0) {
                link_end(l);
                return;
        }

        if (r > 0 && l->vmotion && l->vmotion->source == l)
                l->vmotion->went_ahead = true;

        if (l->stream.out.size == 0)
                l->answers = 0;

        link_update_charge(l);
        link_update_reading(l);
        if (l->console && l->stream.out.size < queued)
                console_settle(l->console);
}

/* Nothing that it could say is waited for: what its VM says meanwhile would only fill its buffer. */
static bool link_waits_for_others(const Link *l) {
        return l->doubted_at && vm_identity_is_settled(&l->identity, VM_UUID_BIOS);
}

void link_update_reading(Link *l) {
        bool reading = l->state != LINK_DEAD &&
                       (link_is_identified(l) ? link_is_heard(l) && !l->console->output_blocked
                                              : l->stream.out.size <= LINK_ANSWERS_MAX && !link_waits_for_others(l));

        if (reading == l->stream.reading)
                return;

        if (reading)
                stream_resume(&l->stream);
        else
                stream_pause(&l->stream);
}

size_t link_input_space(const Link *l) {
        /* Each byte may need two. */
        return l->stream.out.size < LINK_INPUT_MAX ? (LINK_INPUT_MAX - l->stream.out.size + 1) / 2 : 0;
}

void link_send(Link *l, const uint8_t *data, size_t n) {
        int r = telnet_put_data(&l->telnet.out, &l->stream.out, data, n);
        if (r < 0)
                link_fail(l, r, "cannot be sent what was typed");
}

void link_send_break(Link *l) {
        int r = telnet_session_put(&l->telnet, &l->stream.out, (uint8_t[]){TELNET_BRK}, 1);
        if (r < 0)
                link_fail(l, r, "cannot be sent a break");
}

void link_send_held(Link *l, Buffer *held) {
        TelnetDecoder decoder;
        TelnetEvent event;

        telnet_decoder_init(&decoder, TELNET_CR_LF_KEPT);
        decoder.transmission = TELNET_8BIT;

        while (held->size > 0 && l->state != LINK_DEAD) {
                size_t used = telnet_decode(&decoder, buffer_data(held), held->size, &event);

                if (event.type == TELNET_EVENT_DATA)
                        link_send(l, event.data, event.size);
                else if (event.type == TELNET_EVENT_COMMAND)
                        link_send_break(l);

                buffer_consume(held, used);
        }

        buffer_clear(held);
}

void link_put(Link *l, VMwareCode code, const void *data, size_t n) {
        if (l->state == LINK_DEAD)
                return;

        size_t queued = l->stream.out.size;
        int r = telnet_session_settle(&l->telnet, &l->stream.out);
        if (r >= 0)
                r = vmware_put(&l->stream.out, code, data, n);
        link_answered(l, queued, r);
}

void link_go_live(Link *l, Link *predecessor) {
        l->state = LINK_LIVE;
        l->console->links_changed = true;
        link_update_charge(l);
        l->concentrator->metrics.vm_connections++;
        timeout_stop(&l->timeout);
        link_rename_console(l);

        if (predecessor) {
                l->predecessor = predecessor;
                predecessor->successor = l;
                predecessor->talked = false;
                timeout_start(&l->concentrator->successions, &l->succession);
        } else
                (void) link_deliver_pending(l);

        link_update_reading(l);
}

void link_depart(Link *l) {
        l->state = LINK_DEPARTED;
        l->console->links_changed = true;
        buffer_clear(&l->stream.out);
        timeout_start(&l->concentrator->departures, &l->timeout);
}

/* Whether it is still talking, or would be if it were read. Asks about the time since it was last asked. */
static bool link_has_more_to_say(Link *l) {
        return TAKE(l->talked, false) || !link_is_heard(l) || l->console->output_blocked ||
               stream_has_unread(&l->stream);
}

void link_succession_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, succession);

        if (link_has_more_to_say(l->predecessor))
                timeout_start(&l->concentrator->successions, t);
        else
                link_succeed(l);
}

void link_departure_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, timeout);

        if (link_has_more_to_say(l)) {
                timeout_start(&l->concentrator->departures, t);
                return;
        }

        link_log(l, LOG_INFO, NULL, "the vMotion's source host has not closed its connection, closing it");
        link_end(l);
}

void link_handshake_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, timeout);

        link_log(l, LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED, "has not said in time which VM it is, closing it");
        if (l->security == LINK_UNDECIDED)
                link_refuse(l, LINK_STRANGER_TEXT);
        else
                link_end(l);
}
