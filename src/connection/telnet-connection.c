/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "telnet-connection.h"
#include "telnet-detection.h"

/* The first byte of a TLS connection: a record of type handshake (RFC 8446, 5.1) */
#define TLS_FIRST_BYTE 0x16

/* If less than this much can be sent without a copy, and not all, it is better to encode a whole buffer. */
#define GATHERED_MIN 32768U

#define SEND_BUFFER_SIZE 65536U

/* What has just been read, and what is about to be sent: no connection keeps anything there. */
static uint8_t read_buffer[TELNET_READ_MAX], send_buffer[SEND_BUFFER_SIZE];

static void on_readable(Stream *s) {
        telnet_connection_read(container_of(s, TelnetConnection, stream));
}

static void on_writable(Stream *s) {
        TelnetConnection *t = container_of(s, TelnetConnection, stream);

        t->handler->writable(t);
}

/* All that the peer has sent has been read. */
static int connection_end(TelnetConnection *t, int error) {
        t->record.ended = true;

        int r = t->detection ? telnet_detection_end(t) : 0;
        if (r != 0)
                return telnet_connection_verdict(t, r);

        t->error = error;
        switch (error) {
        case 0:
                return TELNET_E_ENDED;
        case -ETIMEDOUT:
                return TELNET_E_DEAD;
        case -EPROTO:
                return TELNET_E_TLS;
        default:
                return TELNET_E_BROKEN;
        }
}

static void on_hung_up(Stream *s) {
        TelnetConnection *t = container_of(s, TelnetConnection, stream);

        if (stream_has_unread(s) || s->tls)
                t->handler->hung_up(t);
        else
                t->handler->closed(t, connection_end(t, 0));
}

static const StreamHandler stream_handlers[] = {
        {.readable = on_readable, .writable = on_writable},
        {.readable = on_readable, .writable = on_writable, .hung_up = on_hung_up},
};

int telnet_connection_open(TelnetConnection *t, Poller *poller, Wire wire, const TelnetHandler *handler) {
        t->record = (TelnetRecord){.mode = TELNET_MODE_RAW};
        t->handler = handler;
        t->policy = NULL;
        t->handshake = NULL;
        t->detection = NULL;
        t->subnegotiation = NULL;
        t->turn_max = TELNET_READ_MAX;
        t->error = 0;
        t->wants = TELNET_WANTS_DATA;
        return stream_open(&t->stream, poller, wire, handler->out_max, &stream_handlers[handler->hung_up != NULL]);
}

void telnet_connection_begin(TelnetConnection *t, const TelnetPolicy *policy) {
        telnet_session_init(&t->record.session, t->handler->line_end);
        t->policy = policy;
        t->record.answers = 0;
        t->record.mode = TELNET_MODE_TELNET;
        t->record.mute = false;
}

static void handshake_stepped(void *userdata) {
        TelnetConnection *t = userdata;

        t->handler->received(t, 0);
}

/* Nothing has been read and written yet. That it has failed is for the reader to find out. */
static void handshake_done(void *userdata, Wire wire) {
        TelnetConnection *t = userdata;

        t->handshake = NULL;
        stream_reopen(&t->stream, wire);
        if (!t->stream.broken || !t->stream.reading)
                t->handler->writable(t);
}

static const TlsHandshakeHandler handshake_handler = {.stepped = handshake_stepped, .done = handshake_done};

int telnet_connection_start_tls(TelnetConnection *t, TlsContext *context, const char *host) {
        assert(!t->handshake && !t->stream.tls && !t->stream.blocked);

        return tls_handshake_new(t->stream.poller, stream_release(&t->stream).fd, context, host, &handshake_handler, t,
                                 &t->handshake);
}

size_t telnet_connection_size(const TelnetConnection *t) {
        return (t->handshake ? tls_handshake_size(t->handshake) : stream_tls_size(&t->stream)) +
               (t->subnegotiation ? telnet_decoder_kept(&t->record.session.in) : 0);
}

void telnet_connection_stop(TelnetConnection *t) {
        t->handshake = tls_handshake_free(t->handshake);
        stream_stop(&t->stream);
        if (t->detection)
                telnet_detection_stop(t);
}

void telnet_connection_close(TelnetConnection *t) {
        telnet_connection_stop(t);
        stream_close(&t->stream);
        free(TAKE_PTR(t->subnegotiation));
}

void telnet_connection_want(TelnetConnection *t, TelnetWants wants) {
        bool reading = wants == TELNET_WANTS_DATA || (wants == TELNET_WANTS_MODE && telnet_detection_needs_more(t));

        t->wants = wants;
        if (reading == t->stream.reading || t->stream.stopped)
                return;

        if (reading)
                stream_resume(&t->stream);
        else
                stream_pause(&t->stream);
        if (t->detection)
                telnet_detection_watch(t, reading);
}

int telnet_connection_verdict(TelnetConnection *t, int r) {
        if (r >= 0)
                return r;

        t->error = r;
        return r == -ENOBUFS ? TELNET_E_DEAF : TELNET_E_FAILED;
}

/* Looks at the first byte, and does not read it. */
static int connection_peek(TelnetConnection *t) {
        uint8_t first;
        ssize_t k = stream_peek(&t->stream, &first);

        if (k <= 0)
                return k == -EAGAIN ? 0 : connection_end(t, (int) k);

        t->record.peeks = false;
        t->record.begun = true;
        return t->handler->begins(t, first == TLS_FIRST_BYTE);
}

static int connection_take(TelnetConnection *t, size_t n, size_t max) {
        const TelnetHandler *h = t->handler;
        int r = 0;

        if (!TAKE(t->record.begun, true) && h->begins && !t->stream.tls)
                r = h->begins(t, read_buffer[0] == TLS_FIRST_BYTE);
        if (r != 0)
                return r;

        if (t->detection)
                return telnet_detection_take(t, read_buffer, n, n == max);

        return t->record.mode == TELNET_MODE_TELNET ? telnet_connection_receive(t, read_buffer, n) : h->data(t, read_buffer, n);
}

/* It has taken that long to take in @n bytes, which were @max at most. */
static void connection_adapt_turn(TelnetConnection *t, usec_t elapsed, size_t n, size_t max) {
        if (elapsed > TELNET_TURN_USEC)
                t->turn_max = MAX((uint32_t) n / 2, TELNET_TURN_MIN);
        else if (n == max && elapsed < TELNET_TURN_USEC / 4)
                t->turn_max = MIN(t->turn_max * 2, TELNET_READ_MAX);
}

/* *ret_n: bytes that have been read. Returns: 0, a verdict, or a negative errno. */
static int connection_read(TelnetConnection *t, size_t *ret_n) {
        int r = t->record.peeks ? connection_peek(t) : 0;
        if (r != 0 || t->record.peeks)
                return r;

        size_t max = MIN(t->detection ? telnet_detection_space(t) : t->handler->space(t), (size_t) t->turn_max);
        if (max == 0) { /* the room has been filled since its owner last looked, and TLS may have something ready */
                if (t->stream.reading)
                        stream_resume(&t->stream);
                return 0;
        }

        ssize_t n = stream_read(&t->stream, read_buffer, max);
        if (n <= 0)
                return n == -EAGAIN ? 0 : connection_end(t, (int) n);

        usec_t began = now_monotonic();

        *ret_n = (size_t) n;
        r = connection_take(t, (size_t) n, max);
        connection_adapt_turn(t, now_monotonic() - began, (size_t) n, max);
        return r;
}

void telnet_connection_read(TelnetConnection *t) {
        size_t n = 0;
        int r = telnet_connection_verdict(t, connection_read(t, &n));

        if (r != 0)
                t->handler->closed(t, r);
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

        int r = t->handler->negotiation ? t->handler->negotiation(t, event) : telnet_connection_negotiate(t, event, &answer);
        if (t->detection)
                telnet_detection_negotiated(t);
        return r;
}

static int handle(TelnetConnection *t, const TelnetEvent *event) {
        const TelnetHandler *h = t->handler;

        switch (event->type) {

        case TELNET_EVENT_DATA: /* within the buffer that has been passed in */
                return h->data(t, (uint8_t *) event->data, event->size);

        case TELNET_EVENT_COMMAND:
                return h->command ? h->command(t, event->command) : 0;

        case TELNET_EVENT_NEGOTIATION:
                return handle_negotiation(t, event);

        case TELNET_EVENT_SUBNEGOTIATION:
                return h->subnegotiation ? h->subnegotiation(t, event) : 0;

        case TELNET_EVENT_OVERLONG: /* who ignores them does not mind how long they are */
                return h->subnegotiation ? TELNET_E_OVERLONG : 0;

        case TELNET_EVENT_NONE:
                return 0;
        }

        return 0;
}

/* Counts what a handler has queued behind @queued bytes. */
static int count_answers(TelnetConnection *t, size_t queued) {
        if (t->record.mute)
                buffer_clear(&t->stream.out);
        else if (t->stream.out.size > queued)
                t->record.answers += (uint32_t) (t->stream.out.size - queued);

        return t->record.answers > t->handler->answers_max ? TELNET_E_DEAF : 0;
}

/* A subnegotiation that is cut by the end of a read waits for the next one. */
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

                /* Whoever can write into the connection could have the peer say something before TLS begins, and have
                 * it heard as if it had come in TLS. */
                if (r == 0 && n > 0 && t->handshake)
                        r = TELNET_E_TLS_MIXED;
        }

        return r == 0 ? telnet_connection_verdict(t, keep_subnegotiation(t, subnegotiation)) : r;
}

int telnet_connection_complete(TelnetConnection *t) {
        return telnet_session_complete(&t->record.session, &t->stream.out);
}

int telnet_connection_command(TelnetConnection *t, const uint8_t *command, size_t n) {
        return telnet_session_put(&t->record.session, &t->stream.out, command, n);
}

int telnet_connection_queue(TelnetConnection *t, const void *data, size_t n) {
        return telnet_put_data(&t->record.session.out, &t->stream.out, data, n);
}

int telnet_connection_flush(TelnetConnection *t) {
        int r = stream_flush(&t->stream);

        if (t->stream.out.size == 0)
                t->record.answers = 0;
        return r;
}

static ssize_t end_sequence(TelnetConnection *t, size_t used) {
        int r = telnet_connection_complete(t);

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

ssize_t telnet_connection_send_encoded(TelnetConnection *t, const struct iovec *iov, size_t n) {
        TelnetEncoder *encoder = &t->record.session.out, before = *encoder;
        size_t used, size = encode(encoder, iov, n, send_buffer, sizeof send_buffer, &used);

        ssize_t sent = stream_send(&t->stream, &(struct iovec){send_buffer, size}, 1);
        if (sent < 0 || (size_t) sent == size)
                return sent < 0 ? sent : (ssize_t) used;

        /* Once more, to learn how much of @iov the bytes sent stand for. */
        *encoder = before;
        (void) encode(encoder, iov, n, send_buffer, (size_t) sent, &used);
        return end_sequence(t, used);
}

ssize_t telnet_connection_send(TelnetConnection *t, const struct iovec *iov, size_t n) {
        TelnetEncoder *encoder = &t->record.session.out;
        struct iovec pieces[128];

        /* TLS copies anyway, and would make a record of each piece. */
        if (t->stream.tls)
                return telnet_connection_send_encoded(t, iov, n);

        size_t n_pieces = telnet_gather(encoder, iov, n, pieces, ELEMENTSOF(pieces));

        if (iov_size(pieces, n_pieces) < MIN(iov_size(iov, n), (size_t) GATHERED_MIN))
                return telnet_connection_send_encoded(t, iov, n);

        ssize_t sent = stream_send(&t->stream, pieces, n_pieces);
        return sent < 0 ? sent : end_sequence(t, telnet_gathered(encoder, pieces, n_pieces, (size_t) sent));
}
