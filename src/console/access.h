/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Access: what a client may do at a console, and what it may ask for. The modes are those of vSPC.py. access_decide() says
 * what is granted in view of what others hold; all clients go through it.
 */

/* What a client holds, in the order of how much it keeps others from doing */
typedef enum Access {
        ACCESS_NONE, /* nothing: it is refused */
        ACCESS_READ_ONLY,
        ACCESS_FREE_FOR_ALL, /* reads and writes, and so may others */
        ACCESS_WRITE,        /* nobody else writes */
        ACCESS_EXCLUSIVE,    /* nobody else reads or writes */
        _ACCESS_MAX,
} Access;

/* What a client asks for: to hold one of the above, or the last one */
typedef enum AccessMode {
        ACCESS_MODE_READ_ONLY = ACCESS_READ_ONLY, /* hinders nobody, and stays so */
        ACCESS_MODE_FREE_FOR_ALL = ACCESS_FREE_FOR_ALL,
        ACCESS_MODE_WRITE = ACCESS_WRITE,
        ACCESS_MODE_EXCLUSIVE = ACCESS_EXCLUSIVE,
        ACCESS_MODE_FREE_FOR_ALL_FALLBACK, /* read-only for as long as somebody holds write access */
        _ACCESS_MODE_MAX,
} AccessMode;

/* All modes as people are told of them */
#define ACCESS_MODES_TEXT "exclusive, write, free-for-all, free-for-all-fallback or read-only"

/* How many clients of a console hold each kind of access */
typedef struct AccessHolders {
        unsigned n[_ACCESS_MAX];
} AccessHolders;

/* Returns: the most that any client holds, ACCESS_NONE if there is no client. */
Access access_most(const AccessHolders *holders);

/* Returns: what is granted in view of the holders, ACCESS_NONE if nothing is. */
Access access_decide(AccessMode mode, const AccessHolders *holders);

/* Whether a client that holds @access is in the way of one that asks for @mode. */
bool access_obstructs(Access access, AccessMode mode);

/* "exclusive", "write", "free_for_all", "free_for_all_fallback", "read_only": Varlink's spelling. People write "-"
 * instead of "_", which is understood as well. */
const char *access_to_string(Access access);
const char *access_mode_to_string(AccessMode mode);

/* The same for a sentence: "free-for-all", "read-only". */
const char *access_to_text(Access access);

/* Returns: 0 or -EINVAL. */
int access_mode_from_string(const char *text, AccessMode *ret);
