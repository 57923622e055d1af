/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"
#include "connection/telnet-connection.h"
#include "target.h"
#include "vm.h"

/*
 * Connection: a Varlink client of vspcd. If there is no connection, a call first tries to connect to one target after
 * the other, each for a limited time. If TLS fails at a target, no other target is tried, because this one has
 * answered. With a Bridge, ssh connects instead.
 *
 * Without a handler, calls block: connection_receive() waits for each reply. The connection has an event loop of its
 * own, which runs only in this function.
 *
 * With a handler, the connection runs on its owner's event loop and never blocks. It then makes one call at a time,
 * which upgrades the connection (Attach): after the reply it is a telnet stream to a console, and the owner gets its
 * data.
 *
 * Each wait has a deadline that is set before it begins, so that a peer cannot prolong it by sending a byte now and
 * then.
 */
typedef struct Connection Connection;

typedef struct ConnectionHandler {
        void (*attached)(Connection *c, const VarlinkReply *reply);
        void (*received)(Connection *c, const void *data, size_t n);
        void (*sent)(Connection *c);             /* some of what was queued */
        void (*ended)(Connection *c, int error); /* it is closed already; refusal_explain() says why */
} ConnectionHandler;

typedef enum ConnectionState {
        CONNECTION_CLOSED,
        CONNECTION_DIALING,
        CONNECTION_CALLING, /* connected; the TLS handshake may still be in progress */
        CONNECTION_ATTACHED,
} ConnectionState;

struct Connection {
        const Targets *targets;           /* borrowed */
        const ConnectionHandler *handler; /* NULL: blocking */
        Poller *poller;                   /* of the owner; blocking: its own */
        usec_t until_usec;                /* the end of each wait */
        bool answered;                    /* something has come from vspcd */
        bool paused;                      /* nothing is read, not even the end of the connection */

        ConnectionState state;
        size_t n_tried; /* number of targets tried; the last one is the present target */
        Watch connecting;
        TelnetConnection telnet;
        sd_event_source *begin, *deadline;
        char *call; /* to be sent when connected */
        size_t call_size;
        Buffer in;         /* replies that have not been handled yet */
        size_t n_searched; /* bytes at its beginning that contain no NUL */

        /* The reason for the end of the connection, kept until the next call */
        int error;
        bool unreachable;     /* no connection succeeded, or TLS has failed before a reply */
        char *tried;          /* "192.0.2.1:13371: Connection refused; [2001:db8::1]:13371: …" */
        char *problem;        /* of TLS, see trust_explain() */
        const char *subject; /* what inventory_fetch_words() has failed for; NULL: nothing in particular */
        VarlinkReply refusal; /* the last error reply of vspcd */
};

/* The time limit for connecting, including the TLS handshake, and for each reply */
#define CONNECTION_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* The same by way of ssh, which may ask for a password */
#define CONNECTION_BRIDGE_TIMEOUT_USEC (120 * USEC_PER_SEC)

/* The maximum of bytes in a read; the parts of it that received() gets have no more in total. */
#define CONNECTION_READ_MAX 65536U

/* The maximum of typed and encoded bytes that vspcd has not taken yet, and of telnet answers in addition */
#define CONNECTION_INPUT_MAX (1024U * 1024U)
#define CONNECTION_ANSWERS_MAX 65536U

/* Calls block unless handler and poller are set before the first call. */
#define CONNECTION_INIT(t)                                                                                   \
        ((Connection){.targets = (t),                                                                        \
                      .until_usec = USEC_INFINITY,                                                           \
                      .connecting.fd = -1,                                                                   \
                      .telnet.stream.watch.fd = -1,                                                           \
                      .in = BUFFER_INIT(VARLINK_REPLY_MAX)})

/* Closes the connection. It may be used for another call. */
void connection_close(Connection *c);
void connection_done(Connection *c);

/* Takes over @parameters, which may be NULL. The handler is not called before this returns. Returns: 0 or a
 * negative errno. */
int connection_call(Connection *c, const char *method, json_t *parameters, VarlinkFlags flags);

/* Waits for the next reply: first until it is connected, then for @timeout at most. Returns: 0; -EREMOTEIO if the
 * reply is an error, which is then in c->refusal; or another negative errno. refusal_explain() describes all of
 * them. */
int connection_receive(Connection *c, usec_t timeout, VarlinkReply *ret);

/* connection_call() and connection_receive() for a call with one reply */
int connection_ask(Connection *c, const char *method, json_t *parameters, VarlinkReply *ret);

/* Returns: a description of a failure other than an error reply, to be freed; NULL if memory is short. */
char *connection_explain(const Connection *c, int error);

/* Returns: the present or last target. */
const SocketAddress *connection_target(const Connection *c);

/* Returns: whether vspcd runs on this machine, so that user ids have the same meaning */
Users connection_users(const Connection *c);

/* While attached: */

/* Returns: the number of bytes that connection_send() takes now; 0 if not attached. */
size_t connection_input_space(const Connection *c);

/* Returns: the number of bytes taken. */
size_t connection_send(Connection *c, const void *data, size_t n);

/* Returns: 0, or -ENOTCONN, -ENOBUFS. */
int connection_send_break(Connection *c);

size_t connection_unsent(const Connection *c);

void connection_pause(Connection *c);
void connection_resume(Connection *c);
