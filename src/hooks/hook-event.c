/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "basic/text.h"
#include "hook-event.h"

/* The maximum number of variables of an event */
#define VARIABLES_MAX 9U

static const char *const type_names[] = {
        [CONSOLE_ADDED] = "vm-added",
        [CONSOLE_CONNECTED] = "vm-connected",
        [CONSOLE_DISCONNECTED] = "vm-disconnected",
        [CONSOLE_RENAMED] = "vm-renamed",
        [CONSOLE_REMOVED] = "vm-removed",
        [CONSOLE_VMOTION_COMPLETE] = "vmotion-complete",
};

const char *hook_event_type_to_string(ConsoleEvent type) {
        return (size_t) type < ELEMENTSOF(type_names) ? type_names[type] : NULL;
}

int hook_event_copy(const HookEvent *e, HookEvent *ret) {
        HookEvent copy = *e;

        copy.id = strdup(e->id);
        copy.name = strdup(e->name);
        copy.uri = strdup(e->uri);
        copy.old_name = e->old_name ? strdup(e->old_name) : NULL;
        if (!copy.id || !copy.name || !copy.uri || (e->old_name && !copy.old_name)) {
                hook_event_done(&copy);
                return -ENOMEM;
        }

        *ret = copy;
        return 0;
}

void hook_event_done(HookEvent *e) {
        free(e->id);
        free(e->name);
        free(e->uri);
        free(e->old_name);
        *e = (HookEvent){};
}

size_t hook_event_size(const HookEvent *e) {
        size_t n = strlen(e->id) + strlen(e->name) + strlen(e->uri) + 3;

        return n + (e->old_name ? strlen(e->old_name) + 1 : 0);
}

void strings_free(char **strings) {
        for (char **s = strings; s && *s; s++)
                free(*s);

        free(strings);
}

static size_t count(char *const *strings) {
        size_t n = 0;

        while (strings[n])
                n++;

        return n;
}

/* Variables that a service manager sets only for the daemon itself, and those that hooks get from us */
static bool is_ours(const char *variable) {
        static const char *const prefixes[] = {
                "CREDENTIALS_DIRECTORY=", "FDSTORE=", "JOURNAL_STREAM=", "LISTEN_", "MAINPID=",
                "MEMORY_PRESSURE_", "NOTIFY_SOCKET=", "SYSTEMD_EXEC_PID=", "VSPC_", "WATCHDOG_",
        };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
                        return true;

        return false;
}

char **hook_base_environment(void) {
        _cleanup_(strings_freep) char **base = calloc(count(environ) + 1, sizeof(char *));
        size_t n = 0;

        for (char **s = environ; base && *s; s++) {
                if (is_ours(*s))
                        continue;

                base[n] = strdup(*s);
                if (!base[n++])
                        return NULL;
        }

        return TAKE_PTR(base);
}

char **hook_event_environment(const HookEvent *e, char *const *base) {
        char port[sizeof("65535")], time[sizeof("18446744073709551615")];
        size_t n = 0, n_base = count(base);

        snprintf(port, sizeof port, "%u", e->port);
        snprintf(time, sizeof time, "%" PRIu64, e->time_usec);

        const struct {
                const char *name, *value; /* NULL: there is none */
        } variables[] = {
                {"VSPC_EVENT", hook_event_type_to_string(e->type)},
                {"VSPC_TIME_USEC", time},
                {"VSPC_VM_ID", e->id},
                {"VSPC_VM_UUID", e->uuid},
                {"VSPC_VM_NAME", e->name},
                {"VSPC_URI", e->uri},
                {"VSPC_PORT", e->port > 0 ? port : NULL},
                {"VSPC_PEER", *e->peer ? e->peer : NULL},
                {"VSPC_OLD_NAME", e->old_name},
        };
        static_assert(ELEMENTSOF(variables) <= VARIABLES_MAX, "VARIABLES_MAX is too low");

        _cleanup_(strings_freep) char **all = calloc(n_base + VARIABLES_MAX + 1, sizeof(char *));
        if (!all)
                return NULL;

        for (; n < n_base; n++) {
                all[n] = strdup(base[n]);
                if (!all[n])
                        return NULL;
        }

        for (size_t i = 0; i < ELEMENTSOF(variables); i++) {
                if (!variables[i].value)
                        continue;

                all[n] = text_format("%s=%s", variables[i].name, variables[i].value);
                if (!all[n++])
                        return NULL;
        }

        return TAKE_PTR(all);
}

char *hook_event_json(const HookEvent *e) {
        /* "*": left out if NULL */
        json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:o*, s:s*, s:s*}",
                                   "event", hook_event_type_to_string(e->type),
                                   "time", (json_int_t) e->time_usec,
                                   "id", e->id,
                                   "uuid", e->uuid,
                                   "name", e->name,
                                   "uri", e->uri,
                                   "port", e->port > 0 ? json_integer(e->port) : NULL,
                                   "peer", *e->peer ? e->peer : NULL,
                                   "oldName", e->old_name);
        _cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

        json_decref(object);
        return text ? text_format("%s\n", text) : NULL;
}

/* vspcd has removed control characters; check it, because the environment of hooks and the log must not contain any. */
static bool is_text(const char *s) {
        for (; s && *s; s++)
                if ((unsigned char) *s < ' ' || *s == 0x7f)
                        return false;

        return true;
}

int hook_event_from_json(json_t *object, HookEvent *ret) {
        const char *type, *id, *uuid, *name, *uri, *peer = "", *old_name = NULL;
        json_int_t time;
        int port = 0;

        if (json_unpack(object, "{s:s, s:I, s:s, s:s, s:s, s:s, s?i, s?s, s?s !}", "event", &type, "time", &time,
                        "id", &id, "uuid", &uuid, "name", &name, "uri", &uri, "port", &port, "peer", &peer,
                        "oldName", &old_name) < 0)
                return -EBADMSG;

        int t = text_find(type_names, ELEMENTSOF(type_names), type);
        if (t < 0 || time < 0 || port < 0 || port > UINT16_MAX || strlen(uuid) >= sizeof ret->uuid ||
            strlen(peer) >= ADDRESS_TEXT_MAX)
                return -EBADMSG;
        if (!is_text(id) || !is_text(uuid) || !is_text(name) || !is_text(uri) || !is_text(peer) || !is_text(old_name))
                return -EBADMSG;

        HookEvent e = {
                .type = (ConsoleEvent) t,
                .time_usec = (usec_t) time,
                .id = (char *) id,
                .name = (char *) name,
                .uri = (char *) uri,
                .old_name = (char *) old_name,
                .port = (uint16_t) port,
        };
        strcpy(e.uuid, uuid);
        strcpy(e.peer, peer);
        return hook_event_copy(&e, ret);
}
