/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "hook-channel.h"

/*
 * HookServer: the server in vspc-hooks, which runs hooks for vspcd. vspcd must not execute anything, so that an
 * attacker who has taken it over cannot execute anything either. vspc-hooks runs as another user, because vspcd could
 * otherwise write into its memory. Without hooks, vspc-hooks is not running at all.
 *
 * It serves one connection, of root or of the owner of the socket's path, and exits when the connection ends or on
 * SIGTERM: running hooks are killed after HOOK_SERVER_STOP_USEC, and the remaining hooks for their events are not
 * run. systemd keeps the socket and starts the next vspc-hooks for the next connection.
 *
 * Up to HOOK_CHANNEL_EVENTS_MAX events are handled at the same time. The hooks for an event are run one after
 * another, even if one fails.
 */
typedef struct HookServer HookServer;

/* How long running hooks may take to end when vspc-hooks exits */
#define HOOK_SERVER_STOP_USEC (2 * USEC_PER_SEC)

/* @fd: a listening socket, closed when the server is freed or if this function fails. Returns: 0 or a negative
 * errno. */
int hook_server_new(sd_event *loop, int fd, HookServer **ret);
HookServer *hook_server_free(HookServer *s); /* returns NULL */
DEFINE_TRIVIAL_CLEANUP_FUNC(HookServer *, hook_server_free);

/* Exits the event loop when running hooks have ended. The socket stays open until the server is freed. */
void hook_server_stop(HookServer *s);
