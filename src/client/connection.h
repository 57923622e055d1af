/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/buffer.h"
#include "basic/time.h"
#include "target.h"
#include "varlink.h"
#include "vm.h"

/*
 * Connection: asks vspcd, and waits for what it says. For verbs that have nothing else to do meanwhile;
 * attach has an Attachment instead.
 *
 * All waiting is up to a point in time that is fixed before it begins, so that nobody prolongs it by sending
 * a little now and then.
 *
 * Nothing is logged here: who asks knows where people look.
 */
typedef struct Connection {
        int fd;
        TlsSession *tls; /* NULL: plain */
        const Targets *targets; /* borrowed: for who needs another connection */
        bool local;             /* by a local socket: the users of the other end are ours */
        bool same_machine;      /* as far as an address tells */
        usec_t until;           /* nothing is waited for beyond this, or it is USEC_INFINITY */
        Buffer in;
        size_t n_searched; /* bytes of it in which there is no NUL */
        char *problem;     /* of TLS, once it has failed */
} Connection;

/* How long vspcd may take to accept us, with TLS's handshake, and to answer */
#define CONNECTION_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* When this time is over for what begins now */
usec_t connection_deadline(void);

/* @until: for all that is ever done with it: connection_deadline(), or USEC_INFINITY if only its parts are
 * bounded. *ret_problem: why not, for people, to be freed. Returns: 0 or a negative errno. */
int connection_open(const Targets *targets, usec_t until, Connection **ret, char **ret_problem);
Connection *connection_free(Connection *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(Connection *, connection_free);

/* Takes over @parameters, which may be NULL. */
int connection_call(Connection *c, const char *method, json_t *parameters, VarlinkFlags flags);

/* Waits for the next reply. Returns: 0 or a negative errno, see varlink_strerror(): -ETIMEDOUT if it is not
 * complete in time. */
int connection_receive(Connection *c, usec_t until, VarlinkReply *ret);

/* What an errno that it has returned means; of TLS's: what to do about it. Until the next call. */
const char *connection_strerror(Connection *c, int error);

/* Both, for the one reply of a call without "more" */
int connection_ask(Connection *c, const char *method, json_t *parameters, VarlinkReply *ret);

static inline Users connection_users(const Connection *c) {
        return c->local ? USERS_OURS : USERS_FOREIGN;
}
