/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>

#include "basic/text.h"
#include "console/message.h"
#include "hook-log.h"

/* The maximum of bytes of a VM's name in a message; the field contains the whole name. */
#define LABEL_MAX 128U

void hook_log_report(HookLog *l) {
        unsigned n = TAKE(l->limit.n_left_out, 0);

        if (n > 0)
                log_warning("%u messages of and about hooks are left out: more than %u in %llu s",
                            n, HOOK_LOG_BURST, HOOK_LOG_INTERVAL_USEC / USEC_PER_SEC);
}

/* @path: "" of all hooks */
static void hook_log(HookLog *l, int level, const char *message_id, const char *path, const HookEvent *event,
                     const char *message) {
        const char *slash = strrchr(path, '/'), *type = hook_event_type_to_string(event->type);
        const LogField fields[] = {
                {"VSPC_EVENT=", type},
                {"VSPC_VM_NAME=", event->name},
                {"VSPC_VM_UUID=", event->uuid},
                {"VSPC_URI=", event->uri},
                {"VSPC_HOOK=", path},
        };
        size_t n_fields = *path ? ELEMENTSOF(fields) : ELEMENTSOF(fields) - 1;

        if (!rate_limit_pass(&l->limit, now_monotonic(), HOOK_LOG_INTERVAL_USEC, HOOK_LOG_BURST))
                return;
        hook_log_report(l);

        log_full(level, 0,
                 &(LogFields){.message_id = message_id, .field = fields, .n_fields = n_fields},
                 "Hook%s%s, %s of VM %.*s: %s", *path ? " " : "s", slash ? slash + 1 : path, type,
                 (int) text_fit(event->name, LABEL_MAX), event->name, message);
}

void hook_log_line(HookLog *l, int level, const char *path, const HookEvent *event, const char *line) {
        hook_log(l, level, NULL, path, event, line);
}

void hook_log_failure(HookLog *l, int error, const char *path, const HookEvent *event, const char *format,
                      ...) {
        char message[LOG_MESSAGE_MAX];
        va_list ap;

        va_start(ap, format);
        errno = -error;
        vsnprintf(message, sizeof message, format, ap);
        va_end(ap);

        hook_log(l, LOG_WARNING, VSPC_MESSAGE_HOOK_FAILED, path, event, message);
}

void hook_log_interrupted(HookLog *l, int error, const HookEvent *event) {
        if (error < 0)
                hook_log_failure(l, error, "", event,
                                 "not all were run, the connection to vspc-hooks has failed: %m");
        else
                hook_log_failure(l, 0, "", event, "not all were run, vspc-hooks has ended");
}
