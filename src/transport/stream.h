/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/buffer.h"
#include "liveness.h"
#include "poller.h"
#include "tls-session.h"

/*
 * Stream: a non-blocking connection, plain or in TLS, with a bounded output queue. Its owner reads and writes bytes, and need
 * not know whether they are encrypted.
 *
 * The connection may be taken out of the stream (stream_release()) and put back (stream_reopen()). Meanwhile nothing is read,
 * and the queue waits.
 *
 * Embedded in its owner. The poller calls the handlers.
 */
typedef struct Stream Stream;

typedef struct StreamHandler {
        void (*readable)(Stream *s); /* data can be read, or the connection has ended */
        void (*writable)(Stream *s); /* after an incomplete write: more can be written, or the connection has failed */

        /* Called once, while the stream is paused, if the peer has closed its sending side. NULL: the owner notices the end
         * when it reads. */
        void (*hung_up)(Stream *s);
} StreamHandler;

struct Stream {
        Watch watch;
        Poller *poller;
        const StreamHandler *handler;
        Liveness liveness;
        Buffer out; /* may be appended to directly; stream_flush() sends it */
        bool reading;
        bool blocked;    /* the kernel accepts no more data now; writable() will be called */
        bool hung_up;    /* hung_up() has been called */
        bool broken;     /* nothing can be sent any more; data that the peer has sent before may still be read */
        bool shut;       /* the sending side has been closed, or will be when TLS has sent its data */
        bool stopped;    /* no handler is called any more */
        bool ended;      /* TLS: the next read returns the end */
        bool progressed; /* the kernel has accepted data since the last stream_has_progressed() */

        size_t kernel_size; /* bytes of kernel memory that the socket used when it was last measured */
        size_t unmeasured;  /* bytes that the kernel has accepted since */
        TlsSession *tls;    /* NULL: plain */
};

/* Wire: a connection without an owner's state, to be passed from one owner to another */
typedef struct Wire {
        int fd;
        TlsSession *tls; /* after its handshake; NULL: plain */
        bool ended;      /* TLS: the next read returns the end */
} Wire;

#define WIRE_PLAIN(f) ((Wire){.fd = (f)})
void wire_close(Wire *w);

/* Takes over @wire. @out_max: the bound of the output queue in bytes. Returns: 0; or a negative errno, and @wire has been
 * closed. */
int stream_open(Stream *s, Poller *poller, Wire wire, size_t out_max, const StreamHandler *handler);
void stream_close(Stream *s);

/* Ends the connection if data waits and the peer, although alive, has acknowledged no new byte for @limit. Without a limit,
 * the connection stays. */
void stream_limit_stuck_peer(Stream *s, usec_t limit);

/* Calls no handler any more. The connection stays open. */
void stream_stop(Stream *s);

/* Returns: the connection, which now belongs to the caller. The output queue stays in the stream. */
Wire stream_release(Stream *s);

/* Takes over the connection with which the stream continues. If its TLS handshake has failed, reading fails, and
 * stream_problem() describes the problem. */
void stream_reopen(Stream *s, Wire wire);

/* Returns: a description of the problem in TLS; "" if there is none. */
const char *stream_problem(const Stream *s);

/* Returns: approximately the bytes of memory that TLS uses; 0 if the stream is plain. */
size_t stream_tls_size(const Stream *s);

/* Returns: the bytes of memory used by data that the peer has not read: in the queue, and in the kernel as last measured. */
size_t stream_waiting(const Stream *s);

/* Measures how much kernel memory the socket uses now. */
void stream_measure(Stream *s);

/* Returns: whether the kernel has accepted data since the last call. */
bool stream_has_progressed(Stream *s);

/* Makes the kernel discard unsent data when the connection is closed. Otherwise it would keep the data for minutes. */
void stream_discard_on_close(Stream *s);

/* Reads the next byte without removing it. For a plain stream only. Returns: 1, or the values of stream_read(). */
ssize_t stream_peek(Stream *s, uint8_t *ret);

/* Returns: the number of bytes read; 0 at the end; -EAGAIN if there is no data now; -EPROTO if TLS has failed; -ETIMEDOUT if
 * Liveness has ended the connection; or another negative errno. */
ssize_t stream_read(Stream *s, void *data, size_t n);

/* Returns: whether there is unread data. */
bool stream_has_unread(const Stream *s);

/* Must be called when the end has been read: from now on, the stream is only watched for writing. Returns: false if the peer
 * is known to have closed both directions. */
bool stream_end_reading(Stream *s);

/* While the stream is paused, nothing is read, and TCP makes the peer wait. */
void stream_pause(Stream *s);
void stream_resume(Stream *s);

/*
 * A failed write does not end the connection, because there may be unread data of the peer. The write counts as successful,
 * and the owner notices the failure when it has read everything.
 */

/* Sends the queue. Returns: 1 if the kernel has accepted everything; 0 if some data still waits; a negative errno if the
 * socket cannot be watched. */
int stream_flush(Stream *s);

/* Returns: whether the kernel has accepted everything that was queued. */
bool stream_is_flushed(const Stream *s);

/* Bytes in all */
size_t iov_size(const struct iovec *iov, size_t n);

/* Sends data without queuing any of it. The queue must be empty. Returns: the number of bytes sent (if not all, s->blocked is
 * set), or a negative errno. */
ssize_t stream_send(Stream *s, const struct iovec *iov, size_t n);

/* Lets other connections have their turn although there is more to send: writable() is called in the next iteration of the
 * loop. */
void stream_yield(Stream *s);

/* Closes the sending side. Must be called when everything has been flushed; further calls do nothing. With TLS, the peer is
 * told when the socket accepts the message; the owner limits how long that may take. Returns: 0 or a negative errno. */
int stream_shutdown(Stream *s);
