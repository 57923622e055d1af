/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "basic/time.h"
#include "basic/uuid.h"
#include "transport/address.h"

/*
 * HookEvent: something that has happened to a VM, as hooks are told of it: in their environment and as JSON.
 * vspc.hooks(7) says what the variables and members are. The JSON is also how it gets from vspcd to
 * vspc-hooks.
 */
typedef enum HookEventType {
        HOOK_VM_ADDED,
        HOOK_VM_CONNECTED,
        HOOK_VM_DISCONNECTED,
        HOOK_VM_RENAMED,
        HOOK_VM_REMOVED,
        HOOK_VMOTION_COMPLETE,
        _HOOK_EVENT_TYPE_MAX,
} HookEventType;

typedef struct HookEvent {
        HookEventType type;
        usec_t time; /* since 1970 */
        char *id, *name, *uri;
        char *old_name; /* of HOOK_VM_RENAMED; else NULL */
        char uuid[UUID_PAIR_TEXT_MAX];
        char peer[ADDRESS_TEXT_MAX]; /* of HOOK_VM_CONNECTED and HOOK_VMOTION_COMPLETE; else "" */
        uint16_t port;               /* 0: none */
} HookEvent;

/* "vm-added" */
const char *hook_event_type_to_string(HookEventType type);

/* A copy with strings of its own, to be ended with hook_event_done(). Returns: 0 or -ENOMEM. */
int hook_event_copy(const HookEvent *e, HookEvent *ret);
void hook_event_done(HookEvent *e);

/* Bytes of its strings */
size_t hook_event_size(const HookEvent *e);

/* @base and what hooks are told, as execve(2) wants it; for strings_free(). NULL if memory is short. */
char **hook_event_environment(const HookEvent *e, char *const *base);

/* One object and a line end, to be freed by the caller. NULL if memory is short. */
char *hook_event_json(const HookEvent *e);

/* What hook_event_json() has made; to be ended with hook_event_done(). Returns: 0, -EBADMSG if it is none, or
 * -ENOMEM. */
int hook_event_from_json(json_t *object, HookEvent *ret);

/* The part of our own environment that is not about ourselves but of use to any program, for strings_free().
 * NULL if memory is short. */
char **hook_base_environment(void);

void strings_free(char **strings);

static inline void strings_freep(char ***strings) {
        strings_free(*strings);
}
