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
 * VarlinkConnection: a caller in Varlink (https://varlink.org): its connection, its calls, and the replies to them.
 * Messages are JSON objects, each followed by a NUL. A VarlinkInterface has the methods.
 *
 * The caller may be a stranger (any local user, over TCP). So there are limits for the time to send a call, for its size,
 * and for replies that wait to be read. The VarlinkServer limits the number of connections and gives them turns.
 */
typedef struct VarlinkConnection VarlinkConnection;
typedef struct VarlinkInterface VarlinkInterface;
typedef struct VarlinkServer VarlinkServer;

/* The maximum of bytes in a call. After a longer call the connection is closed. */
#define VARLINK_CALL_MAX (64U * 1024U)

/* With so many bytes in the output queue, no further replies are made until the caller has read some. */
#define VARLINK_OUT_HIGH (16U * 1024U)

/* The bound of the output queue: VARLINK_OUT_HIGH, and the largest reply or event */
#define VARLINK_OUT_MAX (512U * 1024U)

/* The maximum of tokens in a call (basic/json-tokens.h). No method needs as many. */
#define VARLINK_CALL_TOKENS_MAX 512U

/* The maximum time from connecting, or from the first byte of a call, to the end of the call */
#define VARLINK_CALL_USEC (30 * USEC_PER_SEC)

/* A caller is disconnected if it reads nothing for this time while something waits for it. Callers of Monitor get more
 * time: a person may be paging through the events. */
#define VARLINK_STALL_USEC (60 * USEC_PER_SEC)
#define VARLINK_WATCH_STALL_USEC (600 * USEC_PER_SEC)

typedef struct VarlinkCall {
        const char *method;       /* including its interface */
        const json_t *parameters; /* NULL: none */
        bool more, oneway, upgrade;
} VarlinkCall;

/* May close @c (varlink_close()) or take it over (varlink_hand_over()). */
typedef void (*VarlinkHandler)(VarlinkConnection *c, const VarlinkCall *call);

typedef struct VarlinkMethod {
        const char *name;
        VarlinkHandler handler;
        enum {
                VARLINK_ASKS, /* only returns something: a oneway call of it is ignored */
                VARLINK_ACTS,
        } kind;
} VarlinkMethod;

struct VarlinkInterface {
        const char *name;
        const char *description;      /* in Varlink's interface definition language */
        const VarlinkMethod *methods; /* the last element has no name */
};

/* Continues a call with many replies. Returns: whether there is more to do. */
typedef bool (*VarlinkContinuation)(VarlinkConnection *c);

typedef enum VarlinkState {
        VARLINK_IDLE,      /* waits for a call, or has received one */
        VARLINK_WAITING,   /* its call is answered later */
        VARLINK_REPLYING,  /* a continuation makes further replies when the caller has read some */
        VARLINK_WATCHING,  /* a continuation sends events; what the caller sends is discarded */
        VARLINK_CLOSED,    /* to be freed */
        _VARLINK_STATE_MAX,
} VarlinkState;

struct VarlinkConnection {
        VarlinkServer *server;
        Stream stream;
        TlsHandshake *handshake; /* NULL: no TLS, or the handshake is complete */
        Peer peer;
        Asker asker;       /* the sections that name the peer */
        UserNameQuery user_name; /* of a local user; nothing is read before the answer */
        VarlinkState state;

        Buffer in;        /* received and not handled yet */
        size_t call_size; /* bytes of the first call in it, including its NUL; 0: it is not complete */
        size_t searched;  /* bytes of it that contain no NUL */
        bool ended;       /* the caller has closed its sending side; its calls are still answered */
        bool asked;       /* a call has been received */
        bool limited;     /* counted in server->n_limited */
        bool named;       /* `peer` contains the name in the certificate, if there is one */
        bool oneway;      /* the call that is being handled has no reply */

        VarlinkContinuation continuation; /* for VARLINK_REPLYING and VARLINK_WATCHING */
        bool more;         /* the continuation has something to do, in VARLINK_WATCHING */
        uint64_t waits_for; /* for VARLINK_WAITING: the number of a reload */
        Console *position; /* the next VM (vm-stream.h); NULL: all have been sent */
        char *designation; /* only VMs that match this; NULL: all */
        Fit fit;           /* the way in which they match */
        EventReader events; /* open if the caller gets events */
        bool wants_activity; /* the caller also gets events "activity" */
        bool sees_all;     /* the caller may list all VMs, whatever their names are */
        bool told_anew;    /* events are skipped because rights or names have changed, not because it reads slowly */
        uint64_t n_told;   /* the caller gets events about VMs whose numbers are below this one */

        Charge connection; /* memory of the connection itself; 0 until it has sent a call */
        Charge waiting;    /* memory of waiting calls, replies and events, and until the first call of the connection itself */
        Timeout call_timeout, stall_timeout;
        bool ready; /* is in server->ready */
        VarlinkConnection *prev, *next;             /* in the list of its state */
        VarlinkConnection *ready_prev, *ready_next;
};

/*
 * Replies. varlink_reply_begin() returns a writer for members of the parameters; varlink_reply_end() completes the reply.
 * Replies to a oneway call are not sent.
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

/* The error NotPermitted of our interface: the caller has no rights; or no right to @act at the VM that it has called @vm. */
void varlink_reply_not_permitted(VarlinkConnection *c);
void varlink_reply_not_permitted_at(VarlinkConnection *c, const char *vm, Console *console, Act act);

/* Returns: whether the caller may do @act at the VM. */
bool varlink_permits(VarlinkConnection *c, Console *console, Act act);

/* Must be called when rights have changed: a caller that gets events, and may not list all VMs, gets the present state again. */
void varlink_review(VarlinkConnection *c);

/* Tells the caller that it has no rights, and closes the connection. */
void varlink_expel(VarlinkConnection *c);

/* A parameter of a method */
typedef struct VarlinkParameter {
        const char *name;
        enum {
                VARLINK_STRING,  /* target: const char *, valid as long as the call */
                VARLINK_BOOLEAN, /* target: bool */
                VARLINK_NUMBER,  /* target: uint64_t */
        } type;
        enum {
                VARLINK_OPTIONAL, /* if it is missing or null, its target is not changed */
                VARLINK_REQUIRED,
        } presence;
        void *target;
} VarlinkParameter;

/* Stores the parameters of the call in their targets. Returns: false if one is missing, unknown or has the wrong type; this
 * has been answered. */
bool varlink_take_parameters(VarlinkConnection *c, const VarlinkCall *call, const VarlinkParameter *parameters,
                             size_t n);

/* The call is answered when the reload with this number has ended. After the reply, call varlink_answered(). */
void varlink_wait(VarlinkConnection *c, uint64_t number);
void varlink_answered(VarlinkConnection *c);

/* More replies follow: @continuation is called when there is room for them. */
void varlink_continue(VarlinkConnection *c, VarlinkContinuation continuation);

/* Replies follow until the caller closes the connection: @continuation is called once now, and when there are events.
 * Returns: false if there are VARLINK_WATCHERS_MAX such callers already. */
bool varlink_watch(VarlinkConnection *c, VarlinkContinuation continuation);

/* The `wake` of the server's EventQueue */
void varlink_wake(EventReader *events);

/* Ends Varlink on the connection. @ret_answer: output that was not sent yet. @ret_typed: input after the call. The caller
 * must clear both. Returns: the connection, which the caller owns. */
Wire varlink_hand_over(VarlinkConnection *c, Buffer *ret_answer, Buffer *ret_typed);

/* Closes the connection. It is freed later; until then, only c->state may be read. */
void varlink_close(VarlinkConnection *c);

/* The same, but replies in the output queue are still sent. */
void varlink_close_gently(VarlinkConnection *c);

/* Logs "Query from … @what, closing the connection", at a limited rate. */
void varlink_log_mistake(VarlinkConnection *c, const char *what);

/*
 * Functions for VarlinkServer
 */

/* @fd, which is @peer's, is taken over. @tls: how it travels; NULL: plain. Returns: 0 or a negative errno. */
int varlink_connection_new(VarlinkServer *s, int fd, const Peer *peer, TlsContext *tls);

/* @c must be closed and in no list. Returns: NULL. */
VarlinkConnection *varlink_connection_free(VarlinkConnection *c);

/* Handles one call, or makes some replies. Afterwards the connection is ready only if there is more to do. */
void varlink_connection_work(VarlinkConnection *c);

void varlink_call_elapsed(Timeout *t);
void varlink_stall_elapsed(Timeout *t);
