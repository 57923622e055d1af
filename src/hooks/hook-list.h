/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * HookList: the hooks (programs) in the order in which they are run, sorted by file name. A file in /etc/vspc/hooks.d
 * replaces one with the same name in /usr/lib/vspc/hooks.d. If it is empty or a symbolic link to /dev/null, it only
 * hides that one. Files that cannot be run are logged and ignored.
 *
 * A list is reference-counted and never changes.
 */
#define HOOK_LIST_MAX 64U /* further hooks are logged and ignored */

typedef struct HookList {
        unsigned n_refs;
        size_t n;
        char *paths[HOOK_LIST_MAX];
} HookList;

/* Looks for hooks. A folder that cannot be read is logged and ignored. Returns: 0 and a list, which may be empty,
 * to be freed by hook_list_unref(); or -ENOMEM. */
int hook_list_load(HookList **ret);

HookList *hook_list_ref(HookList *l);   /* returns @l */
HookList *hook_list_unref(HookList *l); /* returns NULL */
DEFINE_TRIVIAL_CLEANUP_FUNC(HookList *, hook_list_unref);

/* Returns: whether there is a file that may be a hook. For vspcd, which must not execute anything and so cannot
 * check whether the file is executable. Logs nothing. */
bool hook_list_has_candidates(void);
