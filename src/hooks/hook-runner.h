/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "hook-channel.h"
#include "hook-queue.h"

/*
 * HookRunner: vspcd's end of the connection to vspc-hooks, which runs the hooks. It has a queue of events and sends
 * as many of them at the same time as the channel allows.
 *
 * It connects when there is an event, which makes systemd start vspc-hooks. If vspc-hooks ends, events without an
 * answer are logged and not sent again, because some hooks have already been run for them; waiting events are sent to
 * the next vspc-hooks. While vspc-hooks cannot be reached, events wait in the queue, and the runner tries to connect
 * again.
 */
typedef struct HookRunner HookRunner;

/* Does not connect yet. The socket is $VSPC_HOOKS_SOCKET, by default /run/vspc/hooks.socket. Returns: 0,
 * -ENAMETOOLONG if the path does not fit into an address, or another negative errno. */
int hook_runner_new(sd_event *loop, HookRunner **ret);

/* Does not wait for running hooks, which vspc-hooks terminates. Waiting events are dropped, and their number is logged.
 * Returns: NULL. */
HookRunner *hook_runner_free(HookRunner *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(HookRunner *, hook_runner_free);

/* Makes vspc-hooks look for hooks, and run them from the next event on. Called when there may be hooks. */
void hook_runner_load(HookRunner *r, usec_t timeout);

/* Drops waiting events and disconnects from vspc-hooks. Called when there are no hooks any more. */
void hook_runner_rest(HookRunner *r);

/* Runs the hooks for @event. Does not block, and does nothing if there are no hooks. */
void hook_runner_tell(HookRunner *r, const HookEvent *event);
