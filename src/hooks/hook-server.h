/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "hook-channel.h"

/*
 * HookServer: vspc-hooks, which runs hooks for vspcd. vspcd must not execute anything, so that who breaks it cannot
 * either; and a site without hooks does not even have this running. It is another user than vspcd, which could make it
 * execute anything by writing into its memory otherwise.
 *
 * It serves one connection, of root or of the user that the socket's path belongs to, and ends with it: hooks that run
 * then have HOOK_SERVER_STOP_USEC and are killed, the others of their events are not run. So it does on SIGTERM. The
 * socket stays with systemd, which starts the next for the next connection.
 *
 * HOOK_CHANNEL_EVENTS_MAX events are told at the same time; the hooks of one event run one after another, whether
 * they fail or not.
 */
typedef struct HookServer HookServer;

/* How long hooks may take to end once nobody is there any more who wants them run */
#define HOOK_SERVER_STOP_USEC (2 * USEC_PER_SEC)

/* @fd: a listening socket, which is closed with the server, and if this fails. Returns: 0 or a negative errno. */
int hook_server_new(sd_event *loop, int fd, HookServer **ret);
HookServer *hook_server_free(HookServer *s); /* returns NULL */
DEFINE_TRIVIAL_CLEANUP_FUNC(HookServer *, hook_server_free);

/* Ends the loop once hooks have ended. The socket stays open until the server is freed. */
void hook_server_stop(HookServer *s);
