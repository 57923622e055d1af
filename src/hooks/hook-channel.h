/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hook-event.h"

/*
 * HookChannel: what vspcd and vspc-hooks say to each other, a JSON object a message, over a SOCK_SEQPACKET
 * connection:
 *
 *   vspcd       {"load":30000000}      look for hooks; from the next event on these are run, for as long
 *   vspc-hooks  {"loaded":2}           how many there are
 *   vspcd       {"event":"vm-added",…} run them, as hook_event_json() has it
 *   vspc-hooks  {"told":"50123456-…"}  all of them have been run for the event of the VM with this identity
 *   vspc-hooks  {"untold":"50123…"}    none has, and none will be: it is ending
 *
 * When vspc-hooks ends it does not take any more (EPIPE), and an event without an answer has been told to some.
 *
 * At most one "load" and HOOK_CHANNEL_EVENTS_MAX events, each of another VM, are without an answer at any time:
 * what is said always fits into the socket's buffer, so neither side ever waits for the other to read.
 */
#define HOOK_CHANNEL_EVENTS_MAX 4U
#define HOOK_CHANNEL_MESSAGE_MAX (32U * 1024U) /* bytes; an event has three names and a port URI */

typedef enum HookMessageType {
        HOOK_MESSAGE_LOAD,
        HOOK_MESSAGE_LOADED,
        HOOK_MESSAGE_EVENT,
        HOOK_MESSAGE_TOLD,
        HOOK_MESSAGE_UNTOLD,
} HookMessageType;

typedef struct HookMessage {
        HookMessageType type;
        usec_t timeout;  /* of HOOK_MESSAGE_LOAD */
        size_t n_hooks;  /* of HOOK_MESSAGE_LOADED */
        HookEvent event; /* of HOOK_MESSAGE_EVENT */
        char *id;        /* of HOOK_MESSAGE_TOLD and HOOK_MESSAGE_UNTOLD */
} HookMessage;

/* Return: 0 or a negative errno, after which the connection is of no use. */
int hook_channel_send_load(int fd, usec_t timeout);
int hook_channel_send_loaded(int fd, size_t n_hooks);
int hook_channel_send_event(int fd, const HookEvent *e);
int hook_channel_send_told(int fd, const char *id);
int hook_channel_send_untold(int fd, const char *id);

/* Returns: 1 and a message, for hook_message_done(); 0 at the end; -EAGAIN if there is none for now; -EBADMSG if it is
 * not understood; or another negative errno. */
int hook_channel_receive(int fd, HookMessage *ret);
void hook_message_done(HookMessage *m);
