/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Access: what a client may do at a console. AccessMode: what it can request. The modes are those of vSPC.py. access_decide()
 * decides about all clients.
 */

/* What a client holds, sorted by how much it restricts other clients */
typedef enum Access {
        ACCESS_NONE, /* refused */
        ACCESS_READ_ONLY,
        ACCESS_FREE_FOR_ALL, /* reads and writes, and so may others */
        ACCESS_WRITE,        /* nobody else writes */
        ACCESS_EXCLUSIVE,    /* nobody else reads or writes */
        _ACCESS_MAX,
} Access;

/* What a client requests: one of the above, or the last one */
typedef enum AccessMode {
        ACCESS_MODE_READ_ONLY = ACCESS_READ_ONLY, /* does not change when a lock is released */
        ACCESS_MODE_FREE_FOR_ALL = ACCESS_FREE_FOR_ALL,
        ACCESS_MODE_WRITE = ACCESS_WRITE,
        ACCESS_MODE_EXCLUSIVE = ACCESS_EXCLUSIVE,
        ACCESS_MODE_FREE_FOR_ALL_FALLBACK, /* read-only while another client holds write access */
        _ACCESS_MODE_MAX,
} AccessMode;

/* All modes, for messages */
#define ACCESS_MODES_TEXT "exclusive, write, free-for-all, free-for-all-fallback or read-only"

/* How many clients of a console hold each kind of access */
typedef struct AccessHolders {
        unsigned n[_ACCESS_MAX];
} AccessHolders;

/* Returns: the highest access that any client holds; ACCESS_NONE if there is no client. */
Access access_most(const AccessHolders *holders);

/* Returns: the access that a client gets that requests @mode, depending on what others hold; ACCESS_NONE: it is refused. */
Access access_decide(AccessMode mode, const AccessHolders *holders);

/* Returns: whether a client that holds @access prevents another one from getting @mode. */
bool access_obstructs(Access access, AccessMode mode);

/* Varlink's spelling: "exclusive", "write", "free_for_all", "free_for_all_fallback", "read_only". access_mode_from_string()
 * also accepts "-" instead of "_". */
const char *access_to_string(Access access);
const char *access_mode_to_string(AccessMode mode);

/* For sentences: "free-for-all", "read-only" */
const char *access_to_text(Access access);

/* Returns: 0 or -EINVAL. */
int access_mode_from_string(const char *text, AccessMode *ret);
