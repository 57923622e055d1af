/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "basic/time.h"
#include "basic/uuid.h"
#include "console/concentrator.h"
#include "transport/address.h"

/*
 * HookEvent: an event of a VM for which hooks are run, and its conversion to environment variables and to JSON.
 * vspc.hooks(7) describes the variables and members. vspcd sends events to vspc-hooks in the same JSON.
 */
typedef struct HookEvent {
        ConsoleEvent type;
        usec_t time_usec; /* since 1970 */
        char *id, *name, *uri;
        char *old_name; /* of CONSOLE_RENAMED; else NULL */
        char uuid[UUID_PAIR_TEXT_MAX];
        char peer[ADDRESS_TEXT_MAX]; /* of CONSOLE_CONNECTED and CONSOLE_VMOTION_COMPLETE; else "" */
        uint16_t port;               /* 0: none */
} HookEvent;

/* Returns: "vm-added" or the like; NULL if no hooks are run for such events. */
const char *hook_event_type_to_string(ConsoleEvent type);

/* Makes a deep copy, to be freed by hook_event_done(). Returns: 0 or -ENOMEM. */
int hook_event_copy(const HookEvent *e, HookEvent *ret);
void hook_event_done(HookEvent *e);

/* Returns: the number of bytes in its strings. */
size_t hook_event_size(const HookEvent *e);

/* Returns: the environment of a hook for execve(2): @base and the variables of the event. To be freed by
 * strings_free(); NULL if memory is short. */
char **hook_event_environment(const HookEvent *e, char *const *base);

/* Returns: a JSON object and a newline, to be freed by the caller; NULL if memory is short. */
char *hook_event_json(const HookEvent *e);

/* The reverse of hook_event_json(). *ret must be freed by hook_event_done(). Returns: 0, -EBADMSG if @object is
 * not an event, or -ENOMEM. */
int hook_event_from_json(json_t *object, HookEvent *ret);

/* Returns: our environment without the variables that are meant for vspc-hooks itself, to be freed by
 * strings_free(); NULL if memory is short. */
char **hook_base_environment(void);

void strings_free(char **strings);

static inline void strings_freep(char ***strings) {
        strings_free(*strings);
}
