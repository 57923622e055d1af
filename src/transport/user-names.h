/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/timeout-queue.h"
#include "poller.h"

/*
 * UserNames: what the users of this machine are called. To find a name may mean to ask a directory server, which takes
 * seconds if that is away, so a thread of its own asks NSS (getpwuid(3)), for one user after the other. Whoever needs a
 * name waits USER_NAMES_WAIT_USEC for it at most, and goes on without. If that happens, nobody else waits until NSS
 * answers again.
 *
 * Names are remembered for USER_NAMES_KEPT_USEC. USER_NAMES_MAX users can be remembered or be looked up; of more no
 * name is found while they are.
 */
typedef struct UserNames UserNames;
typedef struct UserNameQuery UserNameQuery;

#define USER_NAME_MAX 64U /* bytes; a longer name is cut */
#define USER_NAMES_MAX 64U
#define USER_NAMES_KEPT_USEC (60 * USEC_PER_SEC)
#define USER_NAMES_WAIT_USEC (500 * USEC_PER_MSEC)

/* @name: fit for people, and not the handler's; NULL if the user has none, or it takes too long to find out. No other
 * name may be asked for from within. */
typedef void (*UserNameHandler)(UserNameQuery *query, const char *name);

/* Embedded in its owner, all zero to begin with; to be cancelled before that goes. */
struct UserNameQuery {
        UserNames *names; /* NULL unless it waits */
        UserNameHandler answered;
        UserNameQuery **waiting; /* the list that it waits in */
        UserNameQuery *prev, *next;
        Timeout timeout;
};

int user_names_new(Poller *poller, UserNames **ret);

/* All queries have been answered or cancelled. A lookup that hangs is not waited for. */
UserNames *user_names_free(UserNames *n);
DEFINE_TRIVIAL_CLEANUP_FUNC(UserNames *, user_names_free);

/* Has @answered called once: at once if the answer is known, else later on the loop. */
void user_names_ask(UserNames *n, UserNameQuery *query, uid_t uid, UserNameHandler answered);

/* If it has not been answered yet it never will be. */
void user_names_cancel(UserNameQuery *query);

/* Whether it is to be answered yet. */
static inline bool user_names_is_asked(const UserNameQuery *query) {
        return query->names;
}
