/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "access.h"

/* Rows: the requested mode; columns: the highest access that any client holds */
static const Access decisions[_ACCESS_MODE_MAX][_ACCESS_MAX] = {
        [ACCESS_MODE_READ_ONLY] = {
                [ACCESS_NONE] = ACCESS_READ_ONLY,
                [ACCESS_READ_ONLY] = ACCESS_READ_ONLY,
                [ACCESS_FREE_FOR_ALL] = ACCESS_READ_ONLY,
                [ACCESS_WRITE] = ACCESS_READ_ONLY,
        },
        [ACCESS_MODE_EXCLUSIVE] = {
                [ACCESS_NONE] = ACCESS_EXCLUSIVE,
        },
        [ACCESS_MODE_WRITE] = {
                [ACCESS_NONE] = ACCESS_WRITE,
                [ACCESS_READ_ONLY] = ACCESS_WRITE,
        },
        [ACCESS_MODE_FREE_FOR_ALL] = {
                [ACCESS_NONE] = ACCESS_FREE_FOR_ALL,
                [ACCESS_READ_ONLY] = ACCESS_FREE_FOR_ALL,
                [ACCESS_FREE_FOR_ALL] = ACCESS_FREE_FOR_ALL,
        },
        [ACCESS_MODE_FREE_FOR_ALL_FALLBACK] = {
                [ACCESS_NONE] = ACCESS_FREE_FOR_ALL,
                [ACCESS_READ_ONLY] = ACCESS_FREE_FOR_ALL,
                [ACCESS_FREE_FOR_ALL] = ACCESS_FREE_FOR_ALL,
                [ACCESS_WRITE] = ACCESS_READ_ONLY,
        },
};

/* The names of Access and AccessMode, in Varlink's spelling and for sentences */
static const struct {
        const char *name, *text;
} names[_ACCESS_MODE_MAX] = {
        [ACCESS_NONE] = {"none", "no"},
        [ACCESS_READ_ONLY] = {"read_only", "read-only"},
        [ACCESS_FREE_FOR_ALL] = {"free_for_all", "free-for-all"},
        [ACCESS_WRITE] = {"write", "write"},
        [ACCESS_EXCLUSIVE] = {"exclusive", "exclusive"},
        [ACCESS_MODE_FREE_FOR_ALL_FALLBACK] = {"free_for_all_fallback", "free-for-all-fallback"},
};

Access access_most(const AccessHolders *holders) {
        Access most = ACCESS_EXCLUSIVE;

        while (most > ACCESS_NONE && holders->n[most] == 0)
                most--;

        return most;
}

Access access_decide(AccessMode mode, const AccessHolders *holders) {
        return decisions[mode][access_most(holders)];
}

bool access_obstructs(Access access, AccessMode mode) {
        return decisions[mode][access] == ACCESS_NONE;
}

const char *access_to_string(Access access) {
        return names[access].name;
}

const char *access_to_text(Access access) {
        return names[access].text;
}

const char *access_mode_to_string(AccessMode mode) {
        return names[mode].name;
}

static bool names_equal(const char *text, const char *name) {
        while (*text && (*text == '-' ? '_' : *text) == *name) {
                text++;
                name++;
        }

        return *text == *name;
}

int access_mode_from_string(const char *text, AccessMode *ret) {
        for (AccessMode mode = ACCESS_MODE_READ_ONLY; mode < _ACCESS_MODE_MAX; mode++)
                if (names_equal(text, names[mode].name)) {
                        *ret = mode;
                        return 0;
                }

        return -EINVAL;
}
