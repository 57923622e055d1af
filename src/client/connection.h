/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/buffer.h"
#include "basic/time.h"
#include "target.h"
#include "varlink.h"

/*
 * Connection: asks vspcd, and waits for what it says. For verbs that have nothing else to do meanwhile;
 * attach has an Attachment instead.
 *
 * Nothing is logged here: who asks knows where people look.
 */
typedef struct Connection {
        int fd;
        const Targets *targets; /* borrowed: for who needs another connection */
        bool local;             /* the other end is a process of this machine */
        Buffer in;
        size_t n_searched; /* bytes of it in which there is no NUL */
} Connection;

/* How long vspcd may take to accept us, and to answer */
#define CONNECTION_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* *ret_problem: why not, for people, to be freed. Returns: 0 or a negative errno. */
int connection_open(const Targets *targets, Connection **ret, char **ret_problem);
Connection *connection_free(Connection *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(Connection *, connection_free);

/* Takes over @parameters, which may be NULL. */
int connection_call(Connection *c, const char *method, json_t *parameters, VarlinkFlags flags);

/* Waits for the next reply; vspcd may be silent for so long. *ret_size: its bytes; may be NULL.
 * Returns: 0 or a negative errno, see connection_strerror(). */
int connection_receive(Connection *c, usec_t timeout, VarlinkReply *ret, size_t *ret_size);

/* Both, for the one reply of a call without "more" */
int connection_ask(Connection *c, const char *method, json_t *parameters, VarlinkReply *ret);

/* What an errno of connection_receive() means: "vspcd has closed the connection" */
const char *connection_strerror(int error);
