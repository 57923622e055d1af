/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/log.h"
#include "hook-event.h"

/*
 * HookLog: logs the output of hooks and messages about them in the form "Hook 50-notify, vm-connected of VM web01:
 * …", with VSPC_HOOK=, VSPC_EVENT= and the VM's fields. A hook can complain about thousands of VMs, so at most
 * HOOK_LOG_BURST entries are made in HOOK_LOG_INTERVAL_USEC, and the rest are counted.
 */
#define HOOK_LOG_BURST 200U
#define HOOK_LOG_INTERVAL_USEC (10 * USEC_PER_SEC)

typedef struct HookLog {
        RateLimit limit;
} HookLog;

/* Log a line of output of the hook @path, and a failure. @error: a negative errno for %m, or 0 */
void hook_log_line(HookLog *l, int level, const char *path, const HookEvent *event, const char *line);
void hook_log_failure(HookLog *l, int error, const char *path, const HookEvent *event, const char *format,
                      ...) _printf_(5, 6);

/* Logs that vspc-hooks has ended and it is unknown which hooks were run for @event. @error: a negative errno, or 0 */
void hook_log_interrupted(HookLog *l, int error, const HookEvent *event);

/* Logs how many entries have been left out since the last report, if any. */
void hook_log_report(HookLog *l);
