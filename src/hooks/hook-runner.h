/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "hook-channel.h"
#include "hook-queue.h"

/*
 * HookRunner: vspcd's end of its connection to vspc-hooks, which runs hooks. Events wait in its queue, and as many as
 * vspc-hooks takes are on their way at a time.
 *
 * It connects when there is something to tell, and that starts vspc-hooks. If vspc-hooks ends, what it has not
 * answered is reported and not told again, for some hooks have been told of it; what waits goes to the next one. As
 * long as it cannot be reached events wait, as in the queue's rules, and it is tried again.
 */
typedef struct HookRunner HookRunner;

/* The socket is $VSPC_HOOKS_SOCKET, or else /run/vspc/hooks.socket; it is not connected to yet. Returns: 0,
 * -ENAMETOOLONG if its path does not fit into an address, or another negative errno. */
int hook_runner_new(sd_event *loop, HookRunner **ret);

/* Does not wait for hooks that run: vspc-hooks ends them. What waits is dropped, with its number in the log. Returns:
 * NULL. */
HookRunner *hook_runner_free(HookRunner *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(HookRunner *, hook_runner_free);

/* There may be hooks: has vspc-hooks look for them (again), and run them from the next event on. */
void hook_runner_load(HookRunner *r, usec_t timeout);

/* There are none any more: drops what waits, and lets go of vspc-hooks. */
void hook_runner_rest(HookRunner *r);

/* Never waits. Nothing happens while there are no hooks. */
void hook_runner_tell(HookRunner *r, const HookEvent *event);
