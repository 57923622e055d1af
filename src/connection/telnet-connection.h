/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/timeout-queue.h"
#include "telnet/recognize.h"
#include "telnet/session.h"
#include "transport/stream.h"
#include "transport/tls-handshake.h"

/*
 * TelnetConnection: telnet on a stream. It reads; recognizes TLS by the first byte and, with a TelnetDetection, peers that do
 * not speak telnet; decodes what the peer sends; answers negotiations, and limits the answers; and sends data in telnet's
 * encoding without copying it. The owner decides how much is read, and its handlers get the decoded data.
 *
 * Embedded in its owner.
 */
typedef struct TelnetConnection TelnetConnection;
typedef struct TelnetDetection TelnetDetection;

/* What the peer speaks */
typedef enum TelnetMode {
        TELNET_MODE_RAW,       /* no telnet: all bytes are data */
        TELNET_MODE_UNDECIDED, /* the peer has not spoken telnet yet */
        TELNET_MODE_TELNET,
} TelnetMode;

/* Verdicts: why the connection must be closed. Verdicts of the owner begin at _TELNET_E_MAX. */
enum {
        TELNET_E_ENDED = 1, /* the peer has closed its sending side; it may still read */
        TELNET_E_DEAD,      /* the peer does not respond, or has not read for too long (Liveness) */
        TELNET_E_BROKEN,    /* reading has failed otherwise, see `error` */
        TELNET_E_TLS,       /* TLS has failed, see stream_problem() */
        TELNET_E_TLS_MIXED, /* plain text has arrived after the beginning of TLS */
        TELNET_E_OVERLONG,  /* a subnegotiation of more than TELNET_SUBNEGOTIATION_MAX bytes */
        TELNET_E_DEAF,      /* the peer does not read: there is no room for our answers */
        TELNET_E_FAILED,    /* an error on our side, see `error` */
        _TELNET_E_MAX,
};

/* What the owner wants to read */
typedef enum TelnetWants {
        TELNET_WANTS_NOTHING,
        TELNET_WANTS_MODE, /* only as much as is needed to find out what the peer speaks */
        TELNET_WANTS_DATA,
} TelnetWants;

/*
 * The owner's handlers. Those that return an int return 0, a verdict, or a negative errno for an error on our side. After a
 * verdict or an errno the rest of the read is dropped, and closed() is called. Handlers may stop or close the connection, but
 * must not free it. After each read and each timeout, received() or closed() is called last.
 */
typedef struct TelnetHandler {
        TelnetLineEnd line_end;
        size_t out_max;     /* the maximum size of the output queue in bytes */
        size_t answers_max; /* a peer that leaves more bytes of answers unread is TELNET_E_DEAF */

        size_t (*space)(TelnetConnection *t); /* returns the number of bytes of data that the owner can take now */
        int (*data)(TelnetConnection *t, uint8_t *data, size_t n); /* @data may be changed in place */
        void (*received)(TelnetConnection *t, size_t n); /* @n bytes have been handled; 0: none, or bytes of TLS's handshake */
        void (*closed)(TelnetConnection *t, int verdict); /* the owner must close the connection */
        void (*writable)(TelnetConnection *t); /* more can be sent, or the connection has failed */

        /* May be NULL: then commands and subnegotiations are ignored, and negotiations are answered by
         * telnet_connection_negotiate(). A break is reported as command TELNET_BRK, even if the peer does not speak telnet. */
        int (*command)(TelnetConnection *t, uint8_t command);
        int (*negotiation)(TelnetConnection *t, const TelnetEvent *event);
        int (*subnegotiation)(TelnetConnection *t, const TelnetEvent *event);

        /* May be NULL. begins(): the first byte of a plain connection has arrived. hung_up(): the peer has closed its sending
         * side while the owner wants to read nothing. */
        int (*begins)(TelnetConnection *t, bool like_tls);
        void (*hung_up)(TelnetConnection *t);

        /* Only with a TelnetDetection. detected(): record.mode is final now. takes_whole(): may be NULL; called with each whole
         * read from a peer that speaks telnet. Returns: true if the owner has handled the read: it is not decoded then. */
        void (*detected)(TelnetConnection *t);
        bool (*takes_whole)(TelnetConnection *t, const uint8_t *data, size_t n);
} TelnetHandler;

/*
 * What a connection needs in order to continue: a plain record without pointers, and
 *  - the stream's queue, at most TelnetHandler.out_max bytes,
 *  - `subnegotiation`, telnet_decoder_kept(&session.in) bytes, at most TELNET_SUBNEGOTIATION_MAX,
 *  - TelnetDetection.unread, at most TELNET_UNREAD_MAX bytes.
 * Everything else in a TelnetConnection and a TelnetDetection can be derived from these and from the kind of owner, or starts
 * again: timeouts, `turn_max`, and `wants`, which the owner sets.
 */
typedef struct TelnetRecord {
        TelnetSession session;
        TelnetReading reading; /* the state of TelnetDetection */
        uint8_t mode;          /* TelnetMode */
        bool peeks;       /* call begins() before the next read */
        bool begun;       /* the first byte has been read or peeked at */
        bool ended;       /* the end of the connection has been read */
        bool mute;        /* answers are not sent */
        uint32_t answers; /* bytes of answers queued since the queue was last empty */
} TelnetRecord;

struct TelnetConnection {
        Stream stream;
        TelnetRecord record;
        const TelnetHandler *handler;
        const TelnetPolicy *policy;
        TlsHandshake *handshake;    /* owns the socket during TLS's handshake; otherwise NULL */
        TelnetDetection *detection; /* NULL: the owner knows what the peer speaks */
        uint8_t *subnegotiation;    /* the bytes of an incomplete subnegotiation; NULL: none */
        uint32_t turn_max; /* maximum bytes of a read, adapted so that handling them takes about TELNET_TURN_USEC */
        int error;         /* a negative errno, for TELNET_E_BROKEN and TELNET_E_FAILED */
        uint8_t wants;     /* TelnetWants */
};

/* The maximum bytes of a read */
#define TELNET_READ_MAX (128U * 1024U)

/* If handling a read takes longer than this (telnet commands take longer than data), the following reads are shorter, but not
 * shorter than TELNET_TURN_MIN bytes. */
#define TELNET_TURN_USEC (USEC_PER_MSEC / 4)
#define TELNET_TURN_MIN 2048U

/* Takes over @wire. Until telnet_connection_begin(), all bytes are data. Returns: 0; or a negative errno, and @wire has been
 * closed. */
int telnet_connection_open(TelnetConnection *t, Poller *poller, Wire wire, const TelnetHandler *handler);

/* Begins telnet from its initial state. Nothing is sent. */
void telnet_connection_begin(TelnetConnection *t, const TelnetPolicy *policy);

/*
 * Begins TLS. Everything that belongs before it must have been read and sent. Output that is queued from now on is sent when
 * the handshake is complete. If the handshake fails, the verdict is TELNET_E_TLS.
 * @host: for a client: the name that the server's certificate must be for, or NULL.
 * Returns: 0; or a negative errno, and the connection has been closed.
 */
int telnet_connection_start_tls(TelnetConnection *t, TlsContext *context, const char *host);

/* Returns: about the bytes of memory that the connection uses in addition to itself and the stream's queue. */
size_t telnet_connection_size(const TelnetConnection *t);

/* From now on no handler is called. The connection stays open, so that more can be sent; but during TLS's handshake it is
 * closed. */
void telnet_connection_stop(TelnetConnection *t);

/* Closes the stream if it is open, and frees the memory of telnet. */
void telnet_connection_close(TelnetConnection *t);

/* Sets what is read from now on. Initially TELNET_WANTS_DATA. */
void telnet_connection_want(TelnetConnection *t, TelnetWants wants);

/* Reads now, without waiting for the event loop. */
void telnet_connection_read(TelnetConnection *t);

/* Handler of TELNET_TIMEOUT_DETECTION */
void telnet_connection_detection_elapsed(Timeout *timeout);

/* Decodes @data and calls the handlers. Returns: 0 or a verdict. */
int telnet_connection_receive(TelnetConnection *t, uint8_t *data, size_t n);

/* Calls received() or closed() after a read of @n bytes. @r: its result, see telnet_connection_verdict() */
void telnet_connection_report(TelnetConnection *t, int r, size_t n);

/* Converts @r, which is 0, a verdict, or a negative errno, to a verdict. Returns: 0 or a verdict. */
int telnet_connection_verdict(TelnetConnection *t, int r);

/* The following functions send sequences of two bytes (IAC IAC, CR NUL) as a whole: if only the first byte has been sent, they
 * queue the second. So anything may be appended to the stream's queue between two calls. */

/* Queues our offers. Returns: 0 or a negative errno. */
int telnet_connection_offer(TelnetConnection *t);

/* Answers a negotiation. Returns: 0 or a negative errno. */
int telnet_connection_negotiate(TelnetConnection *t, const TelnetEvent *event, TelnetAnswer *ret);

/* Queues a command: IAC, then the @n bytes of @command. Returns: 0 or a negative errno. */
int telnet_connection_command(TelnetConnection *t, const uint8_t *command, size_t n);

/* Queues data. Returns: 0 or a negative errno, after which it must not be called again. */
int telnet_connection_queue(TelnetConnection *t, const void *data, size_t n);

/* Sends the queue. Returns: the values of stream_flush(). */
int telnet_connection_flush(TelnetConnection *t);

/* Sends data without queuing it. The queue must be empty. Returns: the number of bytes of @iov that have been sent, which may
 * be less than all; or a negative errno. */
ssize_t telnet_connection_send(TelnetConnection *t, const struct iovec *iov, size_t n);

/* The same, but always copies the data: for data in many pieces. */
ssize_t telnet_connection_send_encoded(TelnetConnection *t, const struct iovec *iov, size_t n);
