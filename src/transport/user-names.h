/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/timeout-queue.h"
#include "poller.h"

/*
 * UserNames: finds the names of this machine's users. NSS (getpwuid(3)) may ask a directory server, which takes seconds
 * if the server is away, so a thread asks it, for one user after the other. A query waits USER_NAMES_WAIT_USEC at most,
 * and is then answered without a name. From then on no query waits, until NSS answers again.
 *
 * Names are remembered for USER_NAMES_KEPT_USEC. At most USER_NAMES_MAX users are remembered or looked up at a time. The
 * oldest remembered name makes room for another user; while all are being looked up, another user has no name.
 */
typedef struct UserNames UserNames;
typedef struct UserNameQuery UserNameQuery;

#define USER_NAME_MAX 64U /* bytes; a longer name is cut */
#define USER_NAMES_MAX 64U
#define USER_NAMES_KEPT_USEC (60 * USEC_PER_SEC)
#define USER_NAMES_WAIT_USEC (500 * USEC_PER_MSEC)
#define USER_NAMES_STOP_USEC (1 * USEC_PER_SEC)

/* @name: fit for people, borrowed; NULL if the user has none or the answer takes too long. The handler must not ask for
 * another name. */
typedef void (*UserNameHandler)(UserNameQuery *query, const char *name);

/* Embedded in its owner, all zero to begin with; to be cancelled before the owner is freed. */
struct UserNameQuery {
        UserNames *names; /* NULL: it does not wait for an answer */
        UserNameHandler answered;
        UserNameQuery **waiting; /* the list that it waits in */
        UserNameQuery *prev, *next;
        Timeout timeout;
};

int user_names_new(Poller *poller, UserNames **ret);

/* All queries must have been answered or cancelled. A lookup that hangs is waited for no longer than USER_NAMES_STOP_USEC. */
UserNames *user_names_free(UserNames *n);
DEFINE_TRIVIAL_CLEANUP_FUNC(UserNames *, user_names_free);

/* Calls @answered once: immediately if the answer is known, else later from the event loop. */
void user_names_ask(UserNames *n, UserNameQuery *query, uid_t uid, UserNameHandler answered);

/* Afterwards `answered` is not called any more. */
void user_names_cancel(UserNameQuery *query);

/* Whether it waits for an answer. */
static inline bool user_names_is_asked(const UserNameQuery *query) {
        return query->names;
}
