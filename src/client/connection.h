/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"
#include "connection/telnet-connection.h"
#include "target.h"
#include "vm.h"

/*
 * Connection: a Varlink client of vspcd. A call dials first if there is no connection: one target after the
 * other, each for a bounded time. A target that fails in TLS has answered: no other one is tried then.
 *
 * Blocking: connection_receive() waits for each reply. The connection has an event loop of its own, which
 * runs only there.
 *
 * With a handler it runs on the loop of its owner and never waits. It then serves one call at a time, one
 * that upgrades the connection (Attach): after the reply it is a telnet stream to a console, of which the
 * owner sees the data.
 *
 * Each wait has a deadline that is set before it begins, so that a peer cannot prolong it by sending a byte
 * now and then.
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
        CONNECTION_CALLING, /* connected, though perhaps still in TLS's handshake */
        CONNECTION_ATTACHED,
} ConnectionState;

struct Connection {
        const Targets *targets;           /* borrowed */
        const ConnectionHandler *handler; /* NULL: blocking */
        Poller *poller;                   /* the owner's; blocking: its own */
        usec_t until;                     /* no wait lasts beyond this */
        bool paused;                      /* nothing is read, not even the end */

        ConnectionState state;
        size_t n_tried; /* targets; the last of them is the present one */
        Watch connecting;
        TelnetConnection telnet;
        sd_event_source *begin, *deadline;
        char *call; /* sent once it is connected */
        size_t call_size;
        Buffer in;         /* replies that have not been taken yet */
        size_t n_searched; /* bytes of it in which there is no NUL */

        /* Kept until the next call: why it has ended. */
        int error;
        bool unreachable;     /* no target could be connected to, or TLS has failed before a reply */
        char *tried;          /* "192.0.2.1:13371: Connection refused; [2001:db8::1]:13371: …" */
        char *problem;        /* TLS's, as trust_explain() has it */
        VarlinkReply refusal; /* the error that vspcd has replied with last */
};

/* How long vspcd may take to be connected to, including TLS's handshake, and for each reply */
#define CONNECTION_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* Bytes of a read; what received() gets of it in parts is no more in all. */
#define CONNECTION_READ_MAX 65536U

/* Bytes that were typed, encoded, and not taken by vspcd yet; answers of telnet come on top. */
#define CONNECTION_INPUT_MAX (1024U * 1024U)
#define CONNECTION_ANSWERS_MAX 65536U

/* Blocking, unless handler and poller are set before the first call. */
#define CONNECTION_INIT(t)                                                                                   \
        ((Connection){.targets = (t),                                                                        \
                      .until = USEC_INFINITY,                                                                \
                      .connecting.fd = -1,                                                                   \
                      .telnet.stream.watch.fd = -1,                                                           \
                      .in = BUFFER_INIT(VARLINK_REPLY_MAX)})

/* Closes it; it may be used for another call. */
void connection_close(Connection *c);
void connection_done(Connection *c);

/* Takes over @parameters, which may be NULL. Nothing of the handler is called before this returns. Returns:
 * 0 or a negative errno. */
int connection_call(Connection *c, const char *method, json_t *parameters, VarlinkFlags flags);

/* Waits for the next reply, once it is connected for no longer than @timeout. Returns: 0, -EREMOTEIO if the
 * reply is an error, which is in c->refusal then, or another negative errno; refusal_explain() has words for
 * all of them. */
int connection_receive(Connection *c, usec_t timeout, VarlinkReply *ret);

/* Both, for a call that has one reply */
int connection_ask(Connection *c, const char *method, json_t *parameters, VarlinkReply *ret);

/* Why it has failed, other than by a refusal; to be freed. NULL if memory is short. */
char *connection_explain(const Connection *c, int error);

/* The target that it is connected to, or was last. */
const SocketAddress *connection_target(const Connection *c);

/* Whether the users of vspcd's machine are ours */
Users connection_users(const Connection *c);

/* Once it is attached: */

/* Returns: how many bytes connection_send() would take now; 0 also if it is not attached. */
size_t connection_input_space(const Connection *c);

/* Returns: how many of the @n bytes have been taken. */
size_t connection_send(Connection *c, const void *data, size_t n);

/* Returns: 0, or -ENOTCONN, -ENOBUFS. */
int connection_send_break(Connection *c);

size_t connection_unsent(const Connection *c);

void connection_pause(Connection *c);
void connection_resume(Connection *c);
