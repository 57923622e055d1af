/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/buffer.h"
#include "liveness.h"
#include "poller.h"
#include "tls-session.h"

/*
 * Stream: a non-blocking connection with a bounded queue of output. Its owner sees bytes; whether they travel
 * plain or in TLS is decided here.
 *
 * Its connection may be taken out (stream_release()) and put back (stream_reopen()). Meanwhile nothing is read, and what is
 * queued waits.
 *
 * Embedded in its owner. Handlers run from the poller.
 */
typedef struct Stream Stream;

typedef struct StreamHandler {
        void (*readable)(Stream *s); /* something can be read, or the connection has ended */
        void (*writable)(Stream *s); /* after a write fell short: more can be written, or it has failed */

        /* While paused: the peer will send no more than it has sent. Once; NULL: that can wait until it is read. */
        void (*hung_up)(Stream *s);
} StreamHandler;

struct Stream {
        Watch watch;
        Poller *poller;
        const StreamHandler *handler;
        Liveness liveness;
        Buffer out; /* may be appended to directly; stream_flush() sends it */
        bool reading;
        bool blocked;    /* the kernel takes no more for now; writable() will be called */
        bool hung_up;    /* the owner has been told so */
        bool broken;     /* nothing can be sent any more; what the peer has sent before may still be read */
        bool shut;       /* nothing more will be sent, but perhaps that in TLS */
        bool stopped;    /* no handler is called any more */
        bool ended;      /* in TLS: what is read next is the end */
        bool progressed; /* the kernel has taken something since stream_has_progressed() was called */

        size_t kernel_size; /* bytes of the kernel's memory that it takes, as they were measured last */
        size_t unmeasured;  /* bytes that the kernel has taken since */
        TlsSession *tls;    /* NULL: plain */
};

/* What a connection is made of, to be handed from one owner to another. */
typedef struct Wire {
        int fd;
        TlsSession *tls; /* NULL: plain; its handshake is over */
        bool ended;      /* in TLS: what is read next is the end */
} Wire;

#define WIRE_PLAIN(f) ((Wire){.fd = (f)})
void wire_close(Wire *w);

/* Takes over @wire. @out_max: bound of the output queue in bytes. Returns: 0 or a negative errno; it is closed
 * then. */
int stream_open(Stream *s, Poller *poller, Wire wire, size_t out_max, const StreamHandler *handler);
void stream_close(Stream *s);

/* The connection ends when the peer has taken nothing for @limit of what it has been sent, although it is alive. Without
 * this it may take as long as it likes. */
void stream_limit_stuck_peer(Stream *s, usec_t limit);

/* No handler is called any more, whatever happens to the connection, which is still open. */
void stream_stop(Stream *s);

/* Gives up the connection, to be watched and closed by somebody else. The output queue stays. */
Wire stream_release(Stream *s);

/* Takes over the connection that it goes on with. If the handshake of TLS has failed, reading says so, and
 * stream_problem() why. */
void stream_reopen(Stream *s, Wire wire);

/* What TLS has against the peer, for people; "" if nothing. */
const char *stream_problem(const Stream *s);

/* Bytes of memory that TLS takes, about; 0: it is plain. */
size_t stream_tls_size(const Stream *s);

/* Bytes of memory that wait to be read by the peer: in the queue, and in the kernel as measured last. */
size_t stream_waiting(const Stream *s);

/* Measures what the kernel has of the connection now. */
void stream_measure(Stream *s);

/* Whether the peer has taken something since this was called last. */
bool stream_has_progressed(Stream *s);

/* What waits for the peer goes when the connection is closed, or else the kernel would go on keeping it for minutes. */
void stream_discard_on_close(Stream *s);

/* The first byte that there is to be read, which is not taken away. Returns: 1, or as stream_read(). */
ssize_t stream_peek(Stream *s, uint8_t *ret);

/* Returns: bytes read, 0 at the end of the stream, -EAGAIN, or another negative errno: -EPROTO if it is TLS's, -ETIMEDOUT
 * if the peer does not answer any more, or has taken nothing for too long. */
ssize_t stream_read(Stream *s, void *data, size_t n);

/* Whether there is something that could be read. */
bool stream_has_unread(const Stream *s);

/* To be called once the end has been read: from now on only writing is watched. Returns: false if the peer is known to
 * have closed the connection altogether. */
bool stream_end_reading(Stream *s);

/* While paused nothing is read and the peer's TCP is told to wait. */
void stream_pause(Stream *s);
void stream_resume(Stream *s);

/*
 * A write that fails does not end the connection, for there may be something left to read: it counts as done,
 * and reading tells of the end once all has been read.
 */

/* Sends what is queued. Returns: 1 once the kernel has all of it, 0 while it has not, a negative errno if the loop's
 * resources are exhausted. */
int stream_flush(Stream *s);

/* Whether all that has been sent is with the kernel. */
bool stream_is_flushed(const Stream *s);

/* Bytes in all */
size_t iov_size(const struct iovec *iov, size_t n);

/* Sends from where the data lies and queues nothing; only while the queue is empty. Returns: bytes taken
 * (short: s->blocked is set), or a negative errno. */
ssize_t stream_send(Stream *s, const struct iovec *iov, size_t n);

/* Lets other connections have their turn although there is more to send: writable() is called in the next round of the
 * loop. */
void stream_yield(Stream *s);

/* Nothing more will be sent: to be called once all is flushed, and again does nothing. The peer is told as soon as the
 * socket takes that; for how long this may take is for its owner to say. Returns: 0 or a negative errno. */
int stream_shutdown(Stream *s);
