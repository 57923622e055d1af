/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "hook-output.h"

/*
 * HookProcess: one run of a hook, from its start until the hook and its children have ended. The process has its own
 * session. Its stdin is a file with the event's JSON, its stdout and stderr are a pipe that is logged, and it
 * inherits no other file descriptors. After its timeout its process group gets SIGTERM, and HOOK_PROCESS_GRACE_USEC
 * later SIGKILL. When the hook has ended, the remaining processes of the group are killed.
 *
 * This is part of vspc-hooks and not of vspcd, because starting a program can block while the disk is slow.
 */
typedef struct HookProcess HookProcess;

#define HOOK_PROCESS_GRACE_USEC (2 * USEC_PER_SEC)

/* Called when the process has ended. Another one may be started with the same HookProcess. */
typedef void (*HookProcessHandler)(HookProcess *p);

struct HookProcess {
        HookProcessHandler handler;
        HookOutput output;
        usec_t timeout_usec;
        pid_t pid; /* 0: none */
        int pidfd, output_fd;
        sd_event_source *exit_source, *output_source, *timer;
        bool timed_out;
};

/* What to run. Everything must stay valid until the process has ended. */
typedef struct HookCommand {
        const char *path;
        char *const *environment;
        const char *json;
        const HookEvent *event;
        usec_t timeout_usec;
        HookLog *log;
} HookCommand;

/* Returns: 0 or a negative errno. */
int hook_process_start(HookProcess *p, sd_event *loop, const HookCommand *command,
                       HookProcessHandler handler);

/* Kills the process at once. The handler is called when it has ended. */
void hook_process_kill(HookProcess *p);
