/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "telnet-connection.h"

/* If less than this much can be sent without a copy, and not all, it is better to encode a whole buffer. */
#define GATHERED_MIN 32768U

void telnet_connection_init(TelnetConnection *t, const TelnetPolicy *policy, TelnetLineEnd line_end, size_t answers_max,
                            const TelnetHandler *handler) {
        telnet_session_init(&t->session, line_end);
        t->policy = policy;
        t->handler = handler;
        t->answers = 0;
        t->answers_max = answers_max;
        t->mute = false;
}

static void handshake_stepped(void *userdata) {
        TelnetConnection *t = userdata;

        if (t->handler && t->handler->stepped)
                t->handler->stepped(t);
}

/* Nothing has been read and written yet. That it has failed is for the reader to find out. */
static void handshake_done(void *userdata, Wire wire) {
        TelnetConnection *t = userdata;
        Stream *s = &t->stream;

        t->handshake = NULL;
        stream_reopen(s, wire);
        if (!s->broken || !s->reading)
                s->handler->writable(s);
}

static const TlsHandshakeHandler handshake_handler = {.stepped = handshake_stepped, .done = handshake_done};

int telnet_connection_start_tls(TelnetConnection *t, TlsContext *context, const char *host) {
        assert(!t->handshake && !t->stream.tls && !t->stream.blocked);

        return tls_handshake_new(t->stream.poller, stream_release(&t->stream).fd, context, host, &handshake_handler, t,
                                 &t->handshake);
}

size_t telnet_connection_size(const TelnetConnection *t) {
        return (t->handshake ? tls_handshake_size(t->handshake) : stream_tls_size(&t->stream)) +
               (t->subnegotiation ? telnet_decoder_kept(&t->session.in) : 0);
}

void telnet_connection_stop(TelnetConnection *t) {
        t->handshake = tls_handshake_free(t->handshake);
        stream_stop(&t->stream);
}

void telnet_connection_close(TelnetConnection *t) {
        t->handshake = tls_handshake_free(t->handshake);
        stream_close(&t->stream);
        free(TAKE_PTR(t->subnegotiation));
}

int telnet_connection_offer(TelnetConnection *t) {
        return telnet_session_offer(&t->session, t->policy, &t->stream.out);
}

int telnet_connection_negotiate(TelnetConnection *t, const TelnetEvent *event, TelnetAnswer *ret) {
        return telnet_session_negotiate(&t->session, t->policy, event, &t->stream.out, ret);
}

static int handle(TelnetConnection *t, const TelnetEvent *event) {
        const TelnetHandler *h = t->handler;
        TelnetAnswer answer;

        switch (event->type) {

        case TELNET_EVENT_DATA:
                return h->data ? h->data(t, event->data, event->size) : 0;

        case TELNET_EVENT_COMMAND:
                return h->command ? h->command(t, event->command) : 0;

        case TELNET_EVENT_NEGOTIATION:
                return h->negotiation ? h->negotiation(t, event) : telnet_connection_negotiate(t, event, &answer);

        case TELNET_EVENT_SUBNEGOTIATION:
                return h->subnegotiation ? h->subnegotiation(t, event) : 0;

        case TELNET_EVENT_OVERLONG: /* who ignores them does not mind how long they are */
                return h->subnegotiation ? -EMSGSIZE : 0;

        case TELNET_EVENT_NONE:
                return 0;
        }

        return 0;
}

/* Counts what a handler has queued behind @queued bytes. */
static int count_answers(TelnetConnection *t, size_t queued) {
        if (t->mute)
                buffer_clear(&t->stream.out);
        else if (t->stream.out.size > queued)
                t->answers += t->stream.out.size - queued;

        return t->answers > t->answers_max ? -ENOBUFS : 0;
}

/* A subnegotiation that is cut by the end of a read waits for the next one. */
static int keep_subnegotiation(TelnetConnection *t, const uint8_t *subnegotiation) {
        size_t n = telnet_decoder_kept(&t->session.in);

        if (n == 0)
                return 0;

        t->subnegotiation = malloc(n);
        if (!t->subnegotiation)
                return -ENOMEM;

        memcpy(t->subnegotiation, subnegotiation, n);
        return 0;
}

int telnet_connection_receive(TelnetConnection *t, const uint8_t *data, size_t n) {
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        int r = 0;

        if (t->subnegotiation) {
                memcpy(subnegotiation, t->subnegotiation, telnet_decoder_kept(&t->session.in));
                free(TAKE_PTR(t->subnegotiation));
        }

        while (n > 0 && r == 0) {
                size_t queued = t->stream.out.size;
                TelnetEvent event;
                size_t used = telnet_decode(&t->session.in, subnegotiation, data, n, &event);

                data += used;
                n -= used;
                r = handle(t, &event);
                if (r == 0)
                        r = count_answers(t, queued);

                /* Whoever can write into the connection could have the peer say something before TLS begins, and have
                 * it heard as if it had come in TLS. */
                if (r == 0 && n > 0 && t->handshake)
                        r = -EBADMSG;
        }

        return r == 0 ? keep_subnegotiation(t, subnegotiation) : r;
}

int telnet_connection_settle(TelnetConnection *t) {
        return telnet_session_settle(&t->session, &t->stream.out);
}

int telnet_connection_command(TelnetConnection *t, const uint8_t *command, size_t n) {
        return telnet_session_put(&t->session, &t->stream.out, command, n);
}

int telnet_connection_queue(TelnetConnection *t, const void *data, size_t n) {
        return telnet_put_data(&t->session.out, &t->stream.out, data, n);
}

int telnet_connection_flush(TelnetConnection *t) {
        int r = stream_flush(&t->stream);

        if (t->stream.out.size == 0)
                t->answers = 0;
        return r;
}

static ssize_t end_sequence(TelnetConnection *t, size_t used) {
        int r = telnet_connection_settle(t);

        return r < 0 ? r : (ssize_t) used;
}

static size_t iov_size(const struct iovec *iov, size_t n) {
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += iov[i].iov_len;

        return size;
}

static size_t encode(TelnetEncoder *e, const struct iovec *iov, size_t n, uint8_t *out, size_t max, size_t *ret_used) {
        size_t size = 0;

        *ret_used = 0;
        for (size_t i = 0; i < n && size < max; i++) {
                size_t used;

                size += telnet_encode(e, iov[i].iov_base, iov[i].iov_len, out + size, max - size, &used);
                *ret_used += used;
                if (used < iov[i].iov_len)
                        break;
        }

        return size;
}

ssize_t telnet_connection_send_encoded(TelnetConnection *t, const struct iovec *iov, size_t n, uint8_t *buffer) {
        TelnetEncoder *encoder = &t->session.out, before = *encoder;
        size_t used, size = encode(encoder, iov, n, buffer, TELNET_SEND_BUFFER, &used);

        ssize_t sent = stream_send(&t->stream, &(struct iovec){buffer, size}, 1);
        if (sent < 0 || (size_t) sent == size)
                return sent < 0 ? sent : (ssize_t) used;

        /* Once more, to learn how much of @iov the bytes sent stand for. */
        *encoder = before;
        (void) encode(encoder, iov, n, buffer, (size_t) sent, &used);
        return end_sequence(t, used);
}

ssize_t telnet_connection_send(TelnetConnection *t, const struct iovec *iov, size_t n, uint8_t *buffer) {
        TelnetEncoder *encoder = &t->session.out;
        struct iovec pieces[128];

        /* TLS copies anyway, and would make a record of each piece. */
        if (t->stream.tls)
                return telnet_connection_send_encoded(t, iov, n, buffer);

        size_t n_pieces = telnet_gather(encoder, iov, n, pieces, ELEMENTSOF(pieces));

        if (iov_size(pieces, n_pieces) < MIN(iov_size(iov, n), (size_t) GATHERED_MIN))
                return telnet_connection_send_encoded(t, iov, n, buffer);

        ssize_t sent = stream_send(&t->stream, pieces, n_pieces);
        return sent < 0 ? sent : end_sequence(t, telnet_gathered(encoder, pieces, n_pieces, (size_t) sent));
}
