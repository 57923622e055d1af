/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * HookList: the programs that are hooks, in the order in which they are run: by file name. A file in
 * /etc/vspc/hooks.d hides its namesake in /usr/lib/vspc/hooks.d, and if it is empty or a symbolic link to
 * /dev/null it does no more than that. What is there but cannot be run is logged and left out.
 *
 * Never changed once it has been made, and counted.
 */
#define HOOK_LIST_MAX 64U /* more are logged and left out */

typedef struct HookList {
        unsigned n_refs;
        size_t n;
        char *paths[HOOK_LIST_MAX];
} HookList;

/* Looks for them; a folder that cannot be read is logged and left out. Returns: 0 and a list, which may be empty, for
 * hook_list_unref(); or -ENOMEM. */
int hook_list_load(HookList **ret);

HookList *hook_list_ref(HookList *l);   /* returns @l */
HookList *hook_list_unref(HookList *l); /* returns NULL */
DEFINE_TRIVIAL_CLEANUP_FUNC(HookList *, hook_list_unref);

/* Returns: whether there is a file that may be a hook. This is for vspcd, which must not execute anything and so cannot
 * tell whether it really is one. Logs nothing. */
bool hook_list_has_candidates(void);
