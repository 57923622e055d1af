/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hook-event.h"

/*
 * HookQueue: events that wait until hooks are run for them, ordered by VM. VMs take turns, one event in each turn.
 * The events of a VM are handled in order and one at a time.
 *
 * The queue has two bounds. At most ten events of a VM wait: events that have become irrelevant because of later ones
 * are merged with them, and the facts of all waiting events are updated:
 *
 *   vm-connected, vm-disconnected  at most two wait; a third one replaces both and a waiting vMotion
 *   vmotion-complete               only the last one waits
 *   vm-renamed                     one event from the first name to the last name; none if these are equal
 *   vm-removed                     if vm-added is still waiting, both are dropped, and everything in between
 *
 * So hooks always see a possible sequence of events for each VM, and the last event corresponds to the current state.
 * All events together take at most HOOK_QUEUE_MAX. Beyond that, an event of a VM that has no waiting events is dropped.
 * A VM's tenth waiting event is the last one that fits: there are more only if events were missed while there were no
 * hooks, and these are dropped. Dropped events are counted.
 */
typedef struct HookVM HookVM;

#define HOOK_QUEUE_MAX (16U * 1024U * 1024U)

typedef struct HookQueue {
        HookVM *vms;        /* uthash by id: VMs with events that wait or are being handled */
        HookVM *ready;      /* utlist: in the order of their turns */
        size_t size;        /* bytes */
        size_t n_pending;   /* waiting events */
        uint64_t n_merged;  /* events that were merged with later ones */
        uint64_t n_dropped; /* events for which there was no room */
} HookQueue;

/* Returns: 0; or -ENOBUFS or -ENOMEM if the event was dropped. */
int hook_queue_add(HookQueue *q, const HookEvent *e);

/* Returns: 1 and the next event, to be passed to hook_queue_done(); 0 if there is none; -ENOMEM if the event was
 * dropped. */
int hook_queue_take(HookQueue *q, HookEvent *ret);

/* Must be called when hooks have been run for @e, which is freed. The VM gets its next turn. */
void hook_queue_done(HookQueue *q, HookEvent *e);

/* Drops all waiting events. */
void hook_queue_clear(HookQueue *q);
