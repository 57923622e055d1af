/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Receiving: decodes what has been read from a peer that speaks telnet, and calls the handlers. */

#include "telnet-connection.h"

void telnet_connection_begin(TelnetConnection *t, const TelnetPolicy *policy) {
        telnet_session_init(&t->record.session, t->handler->line_end);
        t->policy = policy;
        t->record.answers = 0;
        t->record.mode = TELNET_MODE_TELNET;
        t->record.mute = false;
}

int telnet_connection_verdict(TelnetConnection *t, int r) {
        if (r >= 0)
                return r;

        t->error = r;
        return r == -ENOBUFS ? TELNET_E_DEAF : TELNET_E_FAILED;
}

void telnet_connection_report(TelnetConnection *t, int r, size_t n) {
        int verdict = telnet_connection_verdict(t, r);

        if (verdict != 0)
                t->handler->closed(t, verdict);
        else
                t->handler->received(t, n);
}

int telnet_connection_offer(TelnetConnection *t) {
        return telnet_session_offer(&t->record.session, t->policy, &t->stream.out);
}

int telnet_connection_negotiate(TelnetConnection *t, const TelnetEvent *event, TelnetAnswer *ret) {
        return telnet_session_negotiate(&t->record.session, t->policy, event, &t->stream.out, ret);
}

static int handle_negotiation(TelnetConnection *t, const TelnetEvent *event) {
        TelnetAnswer answer;

        return t->handler->negotiation ? t->handler->negotiation(t, event) : telnet_connection_negotiate(t, event, &answer);
}

static int handle(TelnetConnection *t, const TelnetEvent *event) {
        const TelnetHandler *h = t->handler;

        switch (event->type) {

        case TELNET_EVENT_DATA: /* points into the buffer of the caller, who may change it */
                return h->data(t, (uint8_t *) event->data, event->size);

        case TELNET_EVENT_COMMAND:
                return h->command ? h->command(t, event->command) : 0;

        case TELNET_EVENT_NEGOTIATION:
                return handle_negotiation(t, event);

        case TELNET_EVENT_SUBNEGOTIATION:
                return h->subnegotiation ? h->subnegotiation(t, event) : 0;

        case TELNET_EVENT_OVERLONG: /* does not matter to an owner that ignores subnegotiations */
                return h->subnegotiation ? TELNET_E_OVERLONG : 0;

        case TELNET_EVENT_NONE:
                return 0;
        }

        return 0;
}

/* Counts the answers: what a handler has queued in addition to @queued bytes. */
static int count_answers(TelnetConnection *t, size_t queued) {
        if (t->record.mute)
                buffer_clear(&t->stream.out);
        else if (t->stream.out.size > queued)
                t->record.answers += (uint32_t) (t->stream.out.size - queued);

        return t->record.answers > t->handler->answers_max ? TELNET_E_DEAF : 0;
}

/* Keeps an incomplete subnegotiation until the next read. */
static int keep_subnegotiation(TelnetConnection *t, const uint8_t *subnegotiation) {
        size_t n = telnet_decoder_kept(&t->record.session.in);

        if (n == 0)
                return 0;

        t->subnegotiation = malloc(n);
        if (!t->subnegotiation)
                return -ENOMEM;

        memcpy(t->subnegotiation, subnegotiation, n);
        return 0;
}

int telnet_connection_receive(TelnetConnection *t, uint8_t *data, size_t n) {
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        int r = 0;

        if (t->subnegotiation) {
                memcpy(subnegotiation, t->subnegotiation, telnet_decoder_kept(&t->record.session.in));
                free(TAKE_PTR(t->subnegotiation));
        }

        while (n > 0 && r == 0) {
                size_t queued = t->stream.out.size;
                TelnetEvent event;
                size_t used = telnet_decode(&t->record.session.in, subnegotiation, data, n, &event);

                data += used;
                n -= used;
                r = telnet_connection_verdict(t, handle(t, &event));
                if (r == 0)
                        r = count_answers(t, queued);

                /* Otherwise an attacker could insert plain text that is taken for data from TLS. */
                if (r == 0 && n > 0 && t->handshake)
                        r = TELNET_E_TLS_MIXED;
        }

        return r == 0 ? telnet_connection_verdict(t, keep_subnegotiation(t, subnegotiation)) : r;
}
