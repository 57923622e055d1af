/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "telnet-connection.h"
#include "telnet-detection.h"

/* The first byte of a TLS connection: a record of type handshake (RFC 8446, 5.1) */
#define TLS_FIRST_BYTE 0x16

/* Shared by all connections, which use it only during a read */
static uint8_t read_buffer[TELNET_READ_MAX];

static void on_readable(Stream *s) {
        telnet_connection_read(container_of(s, TelnetConnection, stream));
}

static void on_writable(Stream *s) {
        TelnetConnection *t = container_of(s, TelnetConnection, stream);

        t->handler->writable(t);
}

/* Called at the end of the connection. */
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

static void handshake_stepped(void *userdata) {
        TelnetConnection *t = userdata;

        t->handler->received(t, 0);
}

/* Called at the end of the handshake. If it has failed, the next read will fail. */
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

/* Looks at the first byte without removing it from the socket. */
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

/* Adapts `turn_max`. @elapsed: how long it took to handle the last read, of @n bytes and at most @max */
static void connection_adapt_turn(TelnetConnection *t, usec_t elapsed, size_t n, size_t max) {
        if (elapsed > TELNET_TURN_USEC)
                t->turn_max = MAX((uint32_t) n / 2, TELNET_TURN_MIN);
        else if (n == max && elapsed < TELNET_TURN_USEC / 4)
                t->turn_max = MIN(t->turn_max * 2, TELNET_READ_MAX);
}

/* *ret_n: number of bytes read. Returns: 0, a verdict, or a negative errno. */
static int connection_read(TelnetConnection *t, size_t *ret_n) {
        int r = t->record.peeks ? connection_peek(t) : 0;
        if (r != 0 || t->record.peeks)
                return r;

        size_t max = MIN(t->detection ? telnet_detection_space(t) : t->handler->space(t), (size_t) t->turn_max);
        if (max == 0) { /* the owner has no space any more, but TLS may have buffered data */
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
        int r = connection_read(t, &n);

        telnet_connection_report(t, r, n);
}

void telnet_connection_detection_elapsed(Timeout *timeout) {
        TelnetConnection *t = container_of(timeout, TelnetDetection, timeout)->connection;

        /* The event loop may have been busy: first read what arrived in time. */
        if (t->stream.reading && stream_has_unread(&t->stream))
                telnet_connection_read(t);
        if (!t->stream.stopped)
                telnet_connection_report(t, telnet_detection_decide(t), 0);
}
