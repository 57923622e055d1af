/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/log.h"
#include "hook-event.h"

/*
 * HookLog: what hooks say, and what there is to say about them, as "Hook 50-notify, vm-connected of VM
 * web01: …" with VSPC_HOOK=, VSPC_EVENT= and the VM's fields. Thousands of VMs may have a hook that
 * complains: at most HOOK_LOG_BURST entries are made in HOOK_LOG_INTERVAL_USEC, the rest is counted.
 */
#define HOOK_LOG_BURST 200U
#define HOOK_LOG_INTERVAL_USEC (10 * USEC_PER_SEC)

typedef struct HookLog {
        RateLimit limit;
} HookLog;

/* @path: the hook's. What it says, and what is wrong with it; @error: a negative errno for %m, or 0 */
void hook_log_line(HookLog *l, int level, const char *path, const HookEvent *event, const char *line);
void hook_log_failure(HookLog *l, int error, const char *path, const HookEvent *event, const char *format,
                      ...) _printf_(5, 6);

/* vspc-hooks has gone, and hooks may have been told of @event or not. @error: a negative errno, or 0 */
void hook_log_interrupted(HookLog *l, int error, const HookEvent *event);

/* Says how many have been left out since that was last said, if any have. */
void hook_log_report(HookLog *l);
