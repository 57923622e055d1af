/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hook-event.h"

/*
 * HookChannel: the protocol between vspcd and vspc-hooks. Each message is a JSON object, sent over a SOCK_SEQPACKET
 * connection:
 *
 *   vspcd       {"load":30000000}      look for hooks, and use them from the next event on; a hook may run for so many µs
 *   vspc-hooks  {"loaded":2}           the number of hooks
 *   vspcd       {"event":"vm-added",…} run the hooks for this event (see hook_event_json())
 *   vspc-hooks  {"told":"50123456-…"}  all hooks have been run for the event of the VM with this ID
 *   vspc-hooks  {"untold":"50123…"}    no hook has been run for that event, because vspc-hooks is exiting
 *
 * When vspc-hooks exits, it accepts no more messages (EPIPE). If an event has no answer then, some hooks have been
 * run for it.
 *
 * At most one "load" and HOOK_CHANNEL_EVENTS_MAX events, each of another VM, are without an answer at any time. All
 * messages fit into the socket's buffer, so neither side ever waits for the other to read.
 */
#define HOOK_CHANNEL_EVENTS_MAX 4U
#define HOOK_CHANNEL_MESSAGE_MAX (32U * 1024U) /* bytes; an event contains three names and a Port URI */

typedef enum HookMessageType {
        HOOK_MESSAGE_LOAD,
        HOOK_MESSAGE_LOADED,
        HOOK_MESSAGE_EVENT,
        HOOK_MESSAGE_TOLD,
        HOOK_MESSAGE_UNTOLD,
} HookMessageType;

typedef struct HookMessage {
        HookMessageType type;
        usec_t timeout_usec; /* of HOOK_MESSAGE_LOAD */
        size_t n_hooks;  /* of HOOK_MESSAGE_LOADED */
        HookEvent event; /* of HOOK_MESSAGE_EVENT */
        char *id;        /* of HOOK_MESSAGE_TOLD and HOOK_MESSAGE_UNTOLD */
} HookMessage;

/* Return: 0; or a negative errno, after which the connection cannot be used any more. */
int hook_channel_send_load(int fd, usec_t timeout);
int hook_channel_send_loaded(int fd, size_t n_hooks);
int hook_channel_send_event(int fd, const HookEvent *e);
int hook_channel_send_told(int fd, const char *id);
int hook_channel_send_untold(int fd, const char *id);

/* Returns: 1 and a message, to be freed by hook_message_done(); 0 at the end of the connection; -EAGAIN if there
 * is no message now; -EBADMSG for an invalid message; or another negative errno. */
int hook_channel_receive(int fd, HookMessage *ret);
void hook_message_done(HookMessage *m);
