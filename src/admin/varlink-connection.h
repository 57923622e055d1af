/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "basic/timeout-queue.h"
#include "console/lookup.h"
#include "event-queue.h"
#include "json-writer.h"
#include "transport/peer.h"
#include "transport/stream.h"
#include "transport/tls-handshake.h"
#include "transport/user-names.h"

/*
 * VarlinkConnection: somebody who asks in Varlink (https://varlink.org), the calls that come from there, and the
 * replies to these. Messages are JSON objects, each ended by a NUL byte. Which methods there are is the business of
 * the interfaces.
 *
 * It may be a stranger (local users, over TCP): how long one may take to ask for something, how large a call is and
 * how much of the answers may wait to be read is bounded. How many there are, and whose turn it is, is the server's
 * business.
 */
typedef struct VarlinkConnection VarlinkConnection;
typedef struct VarlinkInterface VarlinkInterface;
typedef struct VarlinkServer VarlinkServer;

/* Bytes of a call. A longer one is refused, and the connection closed. */
#define VARLINK_CALL_MAX (64U * 1024U)

/* More answers than this are not made before what there is has been read. */
#define VARLINK_OUT_HIGH (16U * 1024U)

/* Bytes of answers that wait: those, and the largest single answer or event. */
#define VARLINK_OUT_MAX (512U * 1024U)

/* Members and elements of a call, however nested (basic/json-tokens.h): more is work without a purpose. */
#define VARLINK_CALL_TOKENS_MAX 512U

/* From connecting, or from the first byte of a call, until all of a call has come */
#define VARLINK_CALL_USEC (30 * USEC_PER_SEC)

/* A caller that reads nothing for so long, while something waits for it, is disconnected: one that waits for answers, and
 * one that gets events, which a person may be paging through. */
#define VARLINK_STALL_USEC (60 * USEC_PER_SEC)
#define VARLINK_WATCH_STALL_USEC (600 * USEC_PER_SEC)

typedef struct VarlinkCall {
        const char *method;       /* with its interface */
        const json_t *parameters; /* NULL: none */
        bool more, oneway, upgrade;
} VarlinkCall;

/* May close @c (varlink_close()) or take it over (varlink_hand_over()). */
typedef void (*VarlinkHandler)(VarlinkConnection *c, const VarlinkCall *call);

typedef struct VarlinkMethod {
        const char *name;
        VarlinkHandler handler;
        enum {
                VARLINK_ASKS, /* has no effect but its reply: a oneway call of it is not carried out */
                VARLINK_ACTS,
        } kind;
} VarlinkMethod;

struct VarlinkInterface {
        const char *name;
        const char *description;      /* in Varlink's interface definition language */
        const VarlinkMethod *methods; /* the last has no name */
};

/* Work that an answer of many replies still has to do. Returns: whether there is more. */
typedef bool (*VarlinkContinuation)(VarlinkConnection *c);

typedef enum VarlinkState {
        VARLINK_IDLE,      /* waits for a call, or has one to handle */
        VARLINK_WAITING,   /* its call is answered once something has happened */
        VARLINK_REPLYING,  /* a continuation makes replies as they are read */
        VARLINK_WATCHING,  /* gets events, which a continuation makes; what it says is not listened to */
        VARLINK_CLOSED,    /* to be freed */
        _VARLINK_STATE_MAX,
} VarlinkState;

struct VarlinkConnection {
        VarlinkServer *server;
        Stream stream;
        TlsHandshake *handshake; /* NULL: there is none, or it is over */
        Peer peer;
        UserNameQuery user_name; /* of a local user: nothing is read before it is answered */
        VarlinkState state;

        Buffer in;        /* what has come and has not been handled */
        size_t call_size; /* of the first call in it, its NUL included; 0: there is none that is whole */
        size_t searched;  /* bytes of it in which there is no NUL */
        bool ended;       /* nothing more will come; what has been asked is answered yet */
        bool asked;       /* there has been a call */
        bool named;       /* if it has a certificate, its name is in peer */
        bool oneway;      /* the call that is being handled */

        VarlinkContinuation continuation; /* of VARLINK_REPLYING and VARLINK_WATCHING */
        bool more;         /* … there is something for it to do, in VARLINK_WATCHING */
        uint64_t waits_for; /* of VARLINK_WAITING: the number of a reload */
        Console *position; /* where that goes on (vm-stream.h); NULL: at the end */
        char *designation; /* of the VMs that it is about; NULL: all */
        Fit fit;           /* how well they fit it */
        EventReader events; /* open: it gets events */
        uint64_t n_told;   /* … about VMs whose numbers are below this one */

        Charge connection; /* itself; 0 before the first call has come */
        Charge waiting;    /* calls, answers and events that wait; before the first call, itself as well */
        Timeout call_timeout, stall_timeout;
        bool ready; /* in server->ready */
        VarlinkConnection *prev, *next;             /* of its state's list */
        VarlinkConnection *ready_prev, *ready_next;
};

/*
 * Replies. varlink_reply_begin() makes a writer that is within the parameters of the reply, and
 * varlink_reply_end() ends it. A reply to a oneway call goes nowhere.
 */
typedef enum VarlinkReplyFlags {
        VARLINK_LAST = 0,
        VARLINK_CONTINUES = 1 << 0,
} VarlinkReplyFlags;

JsonWriter varlink_reply_begin(VarlinkConnection *c);
JsonWriter varlink_error_begin(VarlinkConnection *c, const char *error);
void varlink_reply_end(VarlinkConnection *c, JsonWriter *w, VarlinkReplyFlags flags);

/* An empty reply */
void varlink_reply(VarlinkConnection *c);

/* The errors of org.varlink.service */
void varlink_reply_interface_not_found(VarlinkConnection *c, const char *interface);
void varlink_reply_method_not_found(VarlinkConnection *c, const char *method);
void varlink_reply_invalid_parameter(VarlinkConnection *c, const char *parameter);
void varlink_reply_expected_more(VarlinkConnection *c);
void varlink_reply_permission_denied(VarlinkConnection *c);

/* What a method takes. */
typedef struct VarlinkParameter {
        const char *name;
        enum {
                VARLINK_STRING,  /* target: const char *, valid as long as the call is */
                VARLINK_BOOLEAN, /* target: bool */
        } type;
        enum {
                VARLINK_OPTIONAL, /* its target is left alone where it is missing or null */
                VARLINK_REQUIRED,
        } presence;
        void *target;
} VarlinkParameter;

/* Returns: false if the parameters are not these; that has been answered then. */
bool varlink_take_parameters(VarlinkConnection *c, const VarlinkCall *call, const VarlinkParameter *parameters,
                             size_t n);

/* The call is answered once the reload of this number has come to its end; varlink_answered() is to be called after the
 * reply. */
void varlink_wait(VarlinkConnection *c, uint64_t number);
void varlink_answered(VarlinkConnection *c);

/* The answer goes on: @continuation is called whenever there is room for more. */
void varlink_continue(VarlinkConnection *c, VarlinkContinuation continuation);

/* The answer goes on until the caller closes the connection: @continuation is called once, and whenever there is an
 * event. Returns: false if there are VARLINK_WATCHERS_MAX such callers already. */
bool varlink_watch(VarlinkConnection *c, VarlinkContinuation continuation);

/* For the server's queue of events */
void varlink_wake(EventReader *events);

/* It is a Varlink connection no more. @ret_answer: what has not been sent yet, @ret_typed: what has come after the
 * call; both to be cleared by the caller. Returns: the connection. */
Wire varlink_hand_over(VarlinkConnection *c, Buffer *ret_answer, Buffer *ret_typed);

/* The memory goes later: a caller may look at c->state afterwards, and at nothing else. */
void varlink_close(VarlinkConnection *c);

/* The same, but so that the caller gets the answers that are queued. */
void varlink_close_gently(VarlinkConnection *c);

/* "Query from … @what, closing the connection", but not each time. */
void varlink_log_mistake(VarlinkConnection *c, const char *what);

/*
 * Between a server and its connections
 */

/* @fd, which comes from @address, is taken over. @tls: how it travels; NULL: plain. Returns: 0 or a negative errno. */
int varlink_connection_new(VarlinkServer *s, int fd, const SocketAddress *address, TlsContext *tls);

/* One that is closed, and in no list any more. Returns: NULL. */
VarlinkConnection *varlink_connection_free(VarlinkConnection *c);

/* Its turn: handles one call, or makes some replies. It is ready no more afterwards, unless there is more to do. */
void varlink_connection_work(VarlinkConnection *c);

void varlink_call_elapsed(Timeout *t);
void varlink_stall_elapsed(Timeout *t);
