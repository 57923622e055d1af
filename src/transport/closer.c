/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>

#include "closer.h"

/* What a peer that will not stop talking is read before others have their turn. */
#define FAREWELL_READ_MAX 16384U

typedef struct Farewell {
        Closer *closer;
        Stream stream;
        Charge charge;
        Timeout timeout;
} Farewell;

static void farewell_free(Farewell *f) {
        timeout_stop(&f->timeout);
        charge_close(&f->charge);
        stream_close(&f->stream);
        f->closer->n_lingering--;
        free(f);
}

static void farewell_elapsed(Timeout *t) {
        farewell_free(container_of(t, Farewell, timeout));
}

static bool farewell_given_up(Charge *charge) {
        farewell_free(container_of(charge, Farewell, charge));
        return true;
}

static void farewell_writable(Stream *s) {
        Farewell *f = container_of(s, Farewell, stream);

        int r = stream_flush(s);
        if (r < 0 || s->broken || (r > 0 && stream_shutdown(s) < 0))
                farewell_free(f);
}

static void farewell_readable(Stream *s) {
        uint8_t discarded[FAREWELL_READ_MAX];

        ssize_t n = stream_read(s, discarded, sizeof discarded);
        if (n == 0 || (n < 0 && n != -EAGAIN))
                farewell_free(container_of(s, Farewell, stream));
}

static const StreamHandler farewell_handler = {
        .readable = farewell_readable,
        .writable = farewell_writable,
};

int closer_init(Closer *c, Poller *poller) {
        *c = (Closer){.poller = poller};
        return timeout_queue_init(&c->lingering, poller_event(poller), CLOSER_LINGER_USEC, farewell_elapsed);
}

void closer_done(Closer *c) {
        while (c->lingering.oldest)
                farewell_elapsed(c->lingering.oldest);

        timeout_queue_done(&c->lingering);
}

/* Takes over @wire and what @out owns. */
static void closer_add(Closer *c, Wire wire, Buffer *out, const Charge *charge) {
        if (c->n_lingering >= CLOSER_MAX)
                farewell_elapsed(c->lingering.oldest);

        Farewell *f = calloc(1, sizeof(Farewell));
        if (!f)
                wire_close(&wire);
        if (!f || stream_open(&f->stream, c->poller, wire, out->max, &farewell_handler) < 0) {
                free(f);
                buffer_clear(out);
                return;
        }

        f->closer = c;
        f->stream.out = TAKE(*out, BUFFER_INIT(0));
        c->n_lingering++;
        if (charge) {
                charge_open_like(&f->charge, charge, CHARGE_FAREWELL, farewell_given_up);
                charge_set(&f->charge, f->stream.out.allocated + stream_tls_size(&f->stream));
        }
        timeout_start(&c->lingering, &f->timeout);
        farewell_writable(&f->stream);
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
