/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"

/*
 * Hooks: programs of the administrator's that are told what happens to VMs. They lie in /etc/vspc/hooks.d
 * and /usr/lib/vspc/hooks.d, see vspc.hooks(7). It is vspc-hooks that runs them. As long as there are none this
 * is one comparison an event, and vspc-hooks is not started.
 */
typedef struct Hooks Hooks;

/* Looks for hooks and tells them what happens from now on. @timeout: how long one may run. Returns: 0 or a negative
 * errno. */
int hooks_new(Concentrator *concentrator, usec_t timeout, Hooks **ret);

/* To be called before the concentrator goes: that VMs end with it is not to be told. Returns: NULL. */
Hooks *hooks_free(Hooks *h);
DEFINE_TRIVIAL_CLEANUP_FUNC(Hooks *, hooks_free);

/* Has vspc-hooks look for them again if there may be @any, see hook_list_has_candidates(). If that fails it is logged, and all
 * stays as it was. */
void hooks_reload(Hooks *h, usec_t timeout, bool any);
