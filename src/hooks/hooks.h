/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"

/*
 * Hooks: observes the concentrator and passes events of VMs to hooks, which are programs in /etc/vspc/hooks.d and
 * /usr/lib/vspc/hooks.d (see vspc.hooks(7)). vspc-hooks runs them. If there are no hooks, an event costs one
 * comparison, and vspc-hooks is not started.
 */
typedef struct Hooks Hooks;

/* Looks for hooks, which are run for all events from now on. @timeout: how long a hook may run. Returns: 0 or a
 * negative errno. */
int hooks_new(Concentrator *concentrator, usec_t timeout, Hooks **ret);

/* Must be called before the concentrator is freed: this must not cause events. Returns: NULL. */
Hooks *hooks_free(Hooks *h);
DEFINE_TRIVIAL_CLEANUP_FUNC(Hooks *, hooks_free);

/* Makes vspc-hooks look for hooks again if there may be @any (see hook_list_has_candidates()). If that fails, it is
 * logged and the previous hooks are kept. */
void hooks_reload(Hooks *h, usec_t timeout, bool any);
