/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "hook-output.h"

/*
 * HookProcess: one run of one hook, from its start until it and what it has started are gone. It has a
 * session of its own and nothing of ours but a copy of the event's JSON as stdin and a pipe, which is read
 * into the log, as stdout and stderr. After its timeout its process group gets SIGTERM, and
 * HOOK_PROCESS_GRACE_USEC later SIGKILL; once it has ended, what is left of the group is killed.
 *
 * Of vspc-hooks, not of vspcd: starting a program may take as long as its disk does.
 */
typedef struct HookProcess HookProcess;

#define HOOK_PROCESS_GRACE_USEC (2 * USEC_PER_SEC)

/* It has ended; another one may be started in its place. */
typedef void (*HookProcessHandler)(HookProcess *p);

struct HookProcess {
        HookProcessHandler handler;
        HookOutput output;
        usec_t timeout;
        pid_t pid; /* 0: none */
        int pidfd, output_fd;
        sd_event_source *exit_source, *output_source, *timer;
        bool timed_out;
};

/* What is to be run: all of it has to stay until it has ended. */
typedef struct HookCommand {
        const char *path;
        char *const *environment;
        const char *json;
        const HookEvent *event;
        usec_t timeout;
        HookLog *log;
} HookCommand;

/* Returns: 0 or a negative errno. */
int hook_process_start(HookProcess *p, sd_event *loop, const HookCommand *command,
                       HookProcessHandler handler);

/* Kills it at once; the handler is called when it has ended. */
void hook_process_kill(HookProcess *p);

static inline bool hook_process_is_running(const HookProcess *p) {
        return p->pid > 0;
}
