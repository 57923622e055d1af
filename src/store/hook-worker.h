/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hook-list.h"
#include "hook-queue.h"

/*
 * HookWorker: the thread that runs hooks. The loop of the consoles only puts events into its queue, which
 * takes microseconds; starting programs, waiting for them and reading what they say is done here.
 *
 * HOOK_WORKER_JOBS events are being told at the same time, of as many VMs; the hooks of one event run one
 * after another, whether they fail or not.
 */
typedef struct HookWorker HookWorker;

#define HOOK_WORKER_JOBS 4U

/* How long hooks that run when vspcd ends may take to end too */
#define HOOK_WORKER_STOP_USEC (2 * USEC_PER_SEC)

int hook_worker_new(HookWorker **ret);

/* Drops what waits, gives what runs HOOK_WORKER_STOP_USEC and kills it then. A thread that hangs in a system
   call is * left behind. */
HookWorker *hook_worker_free(HookWorker *w);
DEFINE_TRIVIAL_CLEANUP_FUNC(HookWorker *, hook_worker_free);

/* What is run from the next event on. Keeps a reference of its own. */
void hook_worker_set(HookWorker *w, HookList *list, usec_t timeout);

/* Never waits. */
void hook_worker_add(HookWorker *w, const HookEvent *event);
