/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Access: what a client may do at a console, and what it may ask for. The modes are vSPC.py's. One function says
 * which request meets which holders with what result; all ways in go through it.
 */

/* What a client holds. In the order of how much it keeps others from. */
typedef enum Access {
        ACCESS_NONE, /* nothing: it is refused */
        ACCESS_READ_ONLY,
        ACCESS_FREE_FOR_ALL, /* reads and writes, and so may others */
        ACCESS_WRITE,        /* nobody else writes */
        ACCESS_EXCLUSIVE,    /* nobody else reads or writes */
        _ACCESS_MAX,
} Access;

/* What a client asks for: what it wants to hold, or the last one. */
typedef enum AccessMode {
        ACCESS_MODE_FREE_FOR_ALL = ACCESS_FREE_FOR_ALL,
        ACCESS_MODE_WRITE = ACCESS_WRITE,
        ACCESS_MODE_EXCLUSIVE = ACCESS_EXCLUSIVE,
        ACCESS_MODE_FREE_FOR_ALL_FALLBACK, /* read-only for as long as somebody holds write access */
        _ACCESS_MODE_MAX,
} AccessMode;

/* All modes as people are told of them */
#define ACCESS_MODES_TEXT "exclusive, write, free-for-all or free-for-all-fallback"

/* How many clients of a console hold what. */
typedef struct AccessHolders {
        unsigned n[_ACCESS_MAX];
} AccessHolders;

/* Returns: the most that any of them holds, ACCESS_NONE if there is nobody. */
Access access_most(const AccessHolders *holders);

/* Returns: what is granted in view of the holders, ACCESS_NONE if that is nothing. */
Access access_decide(AccessMode mode, const AccessHolders *holders);

/* Whether one who holds @access is in the way of one who asks for @mode. */
bool access_obstructs(Access access, AccessMode mode);

/* "exclusive", "write", "free_for_all", "free_for_all_fallback", "read_only": Varlink's spelling. People write "-"
 * instead of "_", which is understood as well. */
const char *access_to_string(Access access);
const char *access_mode_to_string(AccessMode mode);

/* The same for a sentence: "free-for-all", "read-only". */
const char *access_to_text(Access access);

/* Returns: 0 or -EINVAL. */
int access_mode_from_string(const char *text, AccessMode *ret);
