/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/timeout-queue.h"
#include "telnet/recognize.h"
#include "telnet/session.h"
#include "transport/stream.h"
#include "transport/tls-handshake.h"

/*
 * TelnetConnection: telnet on a stream. It reads, tells TLS from telnet by the first byte and, with a TelnetDetection, telnet
 * from anything else; takes apart what the peer sends, answers its negotiations and bounds the answers; and sends data in
 * telnet's encoding from where it lies. Its owner says how much may be read, and is told what has come.
 *
 * Embedded in its owner.
 */
typedef struct TelnetConnection TelnetConnection;
typedef struct TelnetDetection TelnetDetection;

/* What the peer speaks */
typedef enum TelnetMode {
        TELNET_MODE_RAW,       /* no telnet: all bytes are data */
        TELNET_MODE_UNDECIDED, /* it has not spoken telnet, may yet */
        TELNET_MODE_TELNET,
} TelnetMode;

/* Why it is to be closed. An owner has verdicts of its own, from _TELNET_E_MAX on. */
enum {
        TELNET_E_ENDED = 1, /* the peer will send no more; it may still read */
        TELNET_E_DEAD,      /* the peer does not answer any more, or has taken nothing for too long (Liveness) */
        TELNET_E_BROKEN,    /* reading has failed otherwise, see `error` */
        TELNET_E_TLS,       /* TLS has failed, see stream_problem() */
        TELNET_E_TLS_MIXED, /* TLS has begun, and there is more in plain text */
        TELNET_E_OVERLONG,  /* a subnegotiation of more than TELNET_SUBNEGOTIATION_MAX bytes */
        TELNET_E_DEAF,      /* the peer does not read: there is no room for our answers */
        TELNET_E_FAILED,    /* something of ours has failed, see `error` */
        _TELNET_E_MAX,
};

/* What its owner wants to be read */
typedef enum TelnetWants {
        TELNET_WANTS_NOTHING,
        TELNET_WANTS_MODE, /* only what is needed to know what the peer speaks */
        TELNET_WANTS_DATA,
} TelnetWants;

/*
 * The owner's handlers. Those that return an int return 0, a verdict, or a negative errno if something of ours has failed. After
 * a verdict or an errno the rest of what has been read is dropped, and closed() is called. Handlers may stop or close the
 * connection, but not free it. After each read and each timeout the last call is received() or closed().
 */
typedef struct TelnetHandler {
        TelnetLineEnd line_end;
        size_t out_max;     /* bound of the output queue, in bytes */
        size_t answers_max; /* a peer that leaves more bytes of answers unread is TELNET_E_DEAF */

        size_t (*space)(TelnetConnection *t); /* bytes of data that may come now */
        int (*data)(TelnetConnection *t, uint8_t *data, size_t n); /* @data may be changed in place */
        void (*received)(TelnetConnection *t, size_t n); /* @n bytes have been handled; 0: none, or they were TLS's */
        void (*closed)(TelnetConnection *t, int verdict); /* it is to be closed */
        void (*writable)(TelnetConnection *t); /* more can be sent, or it has failed */

        /* May be NULL: then commands and subnegotiations are ignored, and negotiations are answered by
         * telnet_connection_negotiate(). A break is the command TELNET_BRK, also from a peer that does not speak telnet. */
        int (*command)(TelnetConnection *t, uint8_t command);
        int (*negotiation)(TelnetConnection *t, const TelnetEvent *event);
        int (*subnegotiation)(TelnetConnection *t, const TelnetEvent *event);

        /* May be NULL. begins(): the first byte of a plain connection has come. hung_up(): while nothing is read, the peer has
         * ended its sending side. */
        int (*begins)(TelnetConnection *t, bool like_tls);
        void (*hung_up)(TelnetConnection *t);

        /* Only with a TelnetDetection. detected(): it is known now what the peer speaks. takes_whole(): may be NULL; a whole read
         * from a peer that speaks telnet. Returns: whether the owner has handled it, so that it is not decoded. */
        void (*detected)(TelnetConnection *t);
        bool (*takes_whole)(TelnetConnection *t, const uint8_t *data, size_t n);
} TelnetHandler;

/*
 * What a connection needs in order to continue. A plain record without pointers. To it belong
 *  - the stream's queue, of at most TelnetHandler.out_max bytes,
 *  - `subnegotiation`, of telnet_decoder_kept(&session.in) bytes, TELNET_SUBNEGOTIATION_MAX at most,
 *  - TelnetDetection.unread, of at most TELNET_UNREAD_MAX bytes.
 * All else in a TelnetConnection and a TelnetDetection follows from these and from the kind of the owner, or starts anew:
 * timeouts, `turn_max`, and `wants`, which the owner knows.
 */
typedef struct TelnetRecord {
        TelnetSession session;
        TelnetReading reading; /* TelnetDetection's */
        uint8_t mode;          /* TelnetMode */
        bool peeks;       /* begins() is to be called before anything is read; if it sets this again, once more */
        bool begun;       /* something has been read, or at least seen */
        bool ended;       /* all that the peer has sent has been read */
        bool mute;        /* the peer gets no answers */
        uint32_t answers; /* bytes that have been queued by way of answer since the queue was last empty */
} TelnetRecord;

struct TelnetConnection {
        Stream stream;
        TelnetRecord record;
        const TelnetHandler *handler;
        const TelnetPolicy *policy;
        TlsHandshake *handshake;    /* it has the connection meanwhile; NULL: there is none, or it is over */
        TelnetDetection *detection; /* NULL: what the peer speaks is known beforehand */
        uint8_t *subnegotiation;    /* the bytes of one that the last read has left unfinished; NULL: there are none */
        uint32_t turn_max; /* bytes that are read at a time, so that they take no longer than TELNET_TURN_USEC */
        int error;         /* a negative errno, of TELNET_E_BROKEN and TELNET_E_FAILED */
        uint8_t wants;     /* TelnetWants */
};

/* One read, at most */
#define TELNET_READ_MAX (128U * 1024U)

/* A read that takes so long is followed by shorter ones, as telnet commands cost more than data; down to TELNET_TURN_MIN. */
#define TELNET_TURN_USEC (USEC_PER_MSEC / 4)
#define TELNET_TURN_MIN 2048U

/* Takes over @wire. Nothing is spoken so far: all that comes is data. Returns: 0 or a negative errno; @wire is closed then. */
int telnet_connection_open(TelnetConnection *t, Poller *poller, Wire wire, const TelnetHandler *handler);

/* Telnet begins, with the stream as it is. */
void telnet_connection_begin(TelnetConnection *t, const TelnetPolicy *policy);

/*
 * From here on both ends speak TLS. What is queued is sent once the handshake is complete, and what has come before
 * must have been read and sent. Should it fail, that is TELNET_E_TLS.
 * @host: of a client, the name that the server's certificate must be for, or NULL.
 * Returns: 0 or a negative errno; the connection is closed then.
 */
int telnet_connection_start_tls(TelnetConnection *t, TlsContext *context, const char *host);

/* Bytes of memory that it takes, about, beside its own and those of the stream's queue. */
size_t telnet_connection_size(const TelnetConnection *t);

/* No handler is called any more. The connection stays open, so that something can still be sent; during TLS's handshake it is
 * closed. */
void telnet_connection_stop(TelnetConnection *t);

/* Closes the stream, unless it has been, and frees what telnet has taken. */
void telnet_connection_close(TelnetConnection *t);

/* Reads from now on, or not. To begin with, data is wanted. */
void telnet_connection_want(TelnetConnection *t, TelnetWants wants);

/* Reads what there is now, without waiting for the loop. */
void telnet_connection_read(TelnetConnection *t);

/* Handler of TELNET_TIMEOUT_DETECTION */
void telnet_connection_detection_elapsed(Timeout *timeout);

/* Decodes @data as if it had just been read, and calls the handlers. Returns: 0 or a verdict. */
int telnet_connection_receive(TelnetConnection *t, uint8_t *data, size_t n);

/* Calls received() or closed() with what has become of a read of @n bytes. @r: see telnet_connection_verdict() */
void telnet_connection_report(TelnetConnection *t, int r, size_t n);

/* Makes a verdict of @r, which is 0, a verdict, or a negative errno. Returns: 0 or a verdict. */
int telnet_connection_verdict(TelnetConnection *t, int r);

/* Of a sequence of two bytes (IAC IAC, CR NUL) these functions never leave one behind: what is not sent is queued. So anything
 * may be appended to the stream's queue at any time. */

/* Queues our offers. Returns: 0 or a negative errno. */
int telnet_connection_offer(TelnetConnection *t);

/* Answers a negotiation. Returns: 0 or a negative errno. */
int telnet_connection_negotiate(TelnetConnection *t, const TelnetEvent *event, TelnetAnswer *ret);

/* Queues a command: IAC, then the @n bytes of @command. Returns: 0 or a negative errno. */
int telnet_connection_command(TelnetConnection *t, const uint8_t *command, size_t n);

/* Queues data. Returns: 0 or a negative errno: then it is not to be queued once more. */
int telnet_connection_queue(TelnetConnection *t, const void *data, size_t n);

/* Sends what is queued. Returns: as stream_flush(). */
int telnet_connection_flush(TelnetConnection *t);

/* Sends data and queues nothing of it, but the second byte of a sequence whose first one has been sent; the queue must be
 * empty. Returns: how many bytes of @iov have been sent, which may be fewer than there are, or a negative errno. */
ssize_t telnet_connection_send(TelnetConnection *t, const struct iovec *iov, size_t n);

/* The same, and always by way of a buffer: for data that lies in many pieces, or is not there for long. */
ssize_t telnet_connection_send_encoded(TelnetConnection *t, const struct iovec *iov, size_t n);
