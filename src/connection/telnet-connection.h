/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "telnet/session.h"
#include "transport/stream.h"
#include "transport/tls-handshake.h"

/*
 * TelnetConnection: telnet on a stream: takes apart what the peer sends, answers its negotiations, and sends data in telnet's
 * encoding from where it lies.
 *
 * Embedded in its owner, which opens the stream, reads from it, and has its handlers.
 */
typedef struct TelnetConnection TelnetConnection;

/* What the peer has sent. All return 0, or something else: then telnet_connection_receive() returns that, and takes in no
 * more. A handler that is NULL ignores what it would be told. */
typedef struct TelnetHandler {
        int (*data)(TelnetConnection *t, const uint8_t *data, size_t n); /* @data may be changed in place */
        int (*command)(TelnetConnection *t, uint8_t command);
        int (*negotiation)(TelnetConnection *t, const TelnetEvent *event); /* NULL: telnet_connection_negotiate() */
        int (*subnegotiation)(TelnetConnection *t, const TelnetEvent *event);

        /* TLS's handshake goes on, and telnet_connection_size() may have changed. NULL: never mind */
        void (*stepped)(TelnetConnection *t);
} TelnetHandler;

struct TelnetConnection {
        Stream stream;
        TlsHandshake *handshake; /* it has the connection meanwhile; NULL: there is none, or it is over */
        const TelnetPolicy *policy;
        const TelnetHandler *handler;
        size_t answers;     /* bytes that have been queued by way of answer since the queue was last empty */
        size_t answers_max; /* a peer that does not read more than that is not answered any more */
        bool mute;          /* it gets no answers */
        TelnetSession session;
        uint8_t *subnegotiation; /* the bytes of one that the last read has left unfinished; NULL: there are none */
};

/* Telnet begins, with the stream as it is. */
void telnet_connection_init(TelnetConnection *t, const TelnetPolicy *policy, TelnetLineEnd line_end, size_t answers_max,
                            const TelnetHandler *handler);

/*
 * From here on both ends speak TLS. What is queued is sent once the handshake is complete, and what has come before
 * must have been read and sent. Should it fail, reading says so, and stream_problem() why.
 * @host: of a client, the name that the server's certificate must be for, or NULL.
 * Returns: 0 or a negative errno; the connection is closed then.
 */
int telnet_connection_start_tls(TelnetConnection *t, TlsContext *context, const char *host);

/* Bytes of memory that it takes, about, beside its own and those of the stream's queue. */
size_t telnet_connection_size(const TelnetConnection *t);

/* No handler is called any more, whatever happens to the connection, which is still open, unless it is in TLS's handshake:
 * then there is nothing to be said to the peer any more. */
void telnet_connection_stop(TelnetConnection *t);

/* Closes the stream, unless it has been, and frees what telnet has taken. */
void telnet_connection_close(TelnetConnection *t);

/* Queues our offers. Returns: 0 or a negative errno. */
int telnet_connection_offer(TelnetConnection *t);

/*
 * Takes in what has been read. Returns: 0, what a handler has returned, or
 * -EMSGSIZE: a subnegotiation of more than TELNET_SUBNEGOTIATION_MAX bytes, unless these are ignored,
 * -ENOBUFS: there are more than answers_max bytes of answers that have not been sent,
 * -ENOMEM: what is left of an unfinished subnegotiation could not be kept,
 * -EBADMSG: TLS has begun and there is more in plain text.
 */
int telnet_connection_receive(TelnetConnection *t, const uint8_t *data, size_t n);

/* Answers a negotiation. Returns: 0 or a negative errno. */
int telnet_connection_negotiate(TelnetConnection *t, const TelnetEvent *event, TelnetAnswer *ret);

/* What has been begun of a sequence is ended, so that something may be appended to the queue. Returns: 0 or a negative
 * errno. */
int telnet_connection_settle(TelnetConnection *t);

/* Queues a command: IAC, then the @n bytes of @command. Returns: 0 or a negative errno. */
int telnet_connection_command(TelnetConnection *t, const uint8_t *command, size_t n);

/* Queues data. Returns: 0 or a negative errno. */
int telnet_connection_queue(TelnetConnection *t, const void *data, size_t n);

/* Sends what is queued. Returns: as stream_flush(). */
int telnet_connection_flush(TelnetConnection *t);

/* Sends data and queues nothing of it, but the second byte of a sequence whose first one has been sent; the queue must be
 * empty. @buffer: of TELNET_SEND_BUFFER bytes, for data that has to be encoded; one for all connections of a loop. Returns:
 * how many bytes of @iov have been sent, which may be fewer than there are, or a negative errno. */
#define TELNET_SEND_BUFFER 65536U
ssize_t telnet_connection_send(TelnetConnection *t, const struct iovec *iov, size_t n, uint8_t *buffer);

/* The same, and always by way of the buffer. */
ssize_t telnet_connection_send_encoded(TelnetConnection *t, const struct iovec *iov, size_t n, uint8_t *buffer);
