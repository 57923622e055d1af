/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>

#include "closer.h"

/* Bytes read from a peer and discarded before other connections have their turn */
#define READ_MAX 16384U

typedef struct LingeringClose {
        Closer *closer;
        Stream stream;
        Charge charge;
        Timeout timeout;
} LingeringClose;

static void lingering_close_free(LingeringClose *l) {
        timeout_stop(&l->timeout);
        charge_close(&l->charge);
        stream_close(&l->stream);
        l->closer->n_lingering--;
        free(l);
}

static void lingering_close_elapsed(Timeout *t) {
        lingering_close_free(container_of(t, LingeringClose, timeout));
}

static bool lingering_close_given_up(Charge *charge) {
        lingering_close_free(container_of(charge, LingeringClose, charge));
        return true;
}

static void lingering_close_writable(Stream *s) {
        LingeringClose *l = container_of(s, LingeringClose, stream);

        int r = stream_flush(s);
        if (r < 0 || s->broken || (r > 0 && stream_shutdown(s) < 0))
                lingering_close_free(l);
}

static void lingering_close_readable(Stream *s) {
        uint8_t discarded[READ_MAX];

        ssize_t n = stream_read(s, discarded, sizeof discarded);
        if (n == 0 || (n < 0 && n != -EAGAIN))
                lingering_close_free(container_of(s, LingeringClose, stream));
}

static const StreamHandler lingering_close_handler = {
        .readable = lingering_close_readable,
        .writable = lingering_close_writable,
};

int closer_init(Closer *c, Poller *poller) {
        *c = (Closer){.poller = poller};
        return timeout_queue_init(&c->lingering, poller_event(poller), CLOSER_LINGER_USEC, lingering_close_elapsed);
}

void closer_done(Closer *c) {
        while (c->lingering.oldest)
                lingering_close_elapsed(c->lingering.oldest);

        timeout_queue_done(&c->lingering);
}

/* Takes over @wire and the memory of @out. */
static void closer_add(Closer *c, Wire wire, Buffer *out, const Charge *charge) {
        if (c->n_lingering >= CLOSER_MAX)
                lingering_close_elapsed(c->lingering.oldest);

        LingeringClose *l = calloc(1, sizeof(LingeringClose));
        if (!l)
                wire_close(&wire);
        if (!l || stream_open(&l->stream, c->poller, wire, out->max, &lingering_close_handler) < 0) {
                free(l);
                buffer_clear(out);
                return;
        }

        l->closer = c;
        l->stream.out = TAKE(*out, BUFFER_INIT(0));
        c->n_lingering++;
        if (charge) {
                charge_open_like(&l->charge, charge, CHARGE_CLOSING, lingering_close_given_up);
                charge_set(&l->charge, l->stream.out.allocated + stream_tls_size(&l->stream));
        }
        timeout_start(&c->lingering, &l->timeout);
        lingering_close_writable(&l->stream);
}

void closer_take(Closer *c, Stream *s, const Charge *charge) {
        Wire wire = stream_release(s);
        Buffer out = TAKE(s->out, BUFFER_INIT(0));

        if (wire.fd >= 0)
                closer_add(c, wire, &out, charge);
        else
                buffer_clear(&out);
}

void closer_take_fd(Closer *c, int fd, const char *text) {
        Buffer out = BUFFER_INIT(strlen(text));

        (void) buffer_append(&out, text, strlen(text));
        closer_add(c, WIRE_PLAIN(fd), &out, NULL);
}
