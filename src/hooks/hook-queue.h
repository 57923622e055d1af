/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hook-event.h"

/*
 * HookQueue: events that hooks have not been told of yet, by VM. VMs take turns, one event a turn, each VM's
 * events in their order and one at a time.
 *
 * It is bounded twice. Of one VM at most ten events wait, for those that later ones make moot are merged
 * into them, and all are told with the newest facts:
 *
 *   connecting and disconnecting  two wait at most, a third replaces them and a vMotion that waits
 *   vmotion-complete              the last
 *   vm-renamed                    one, from the first name to the last; none if these are the same
 *   vm-removed                    if vm-added still waits, neither is told, nor what was in between
 *
 * So what hooks are told of a VM is always a possible story, and it ends with how things are. In all they
 * take at most HOOK_QUEUE_MAX: beyond that VMs of which nothing waits yet are not let in and their event is
 * dropped; so are ends of lives whose beginnings were missed while there were no hooks. All are counted.
 */
typedef struct HookVM HookVM;

#define HOOK_QUEUE_MAX (16U * 1024U * 1024U)

typedef struct HookQueue {
        HookVM *vms;        /* uthash by id: of which something waits or is being told */
        HookVM *ready;      /* utlist: in the order of their turns */
        size_t size;        /* bytes */
        size_t n_pending;   /* events that wait */
        uint64_t n_merged;  /* events that are not told because of later ones */
        uint64_t n_dropped; /* events for which there was no room */
} HookQueue;

/* Returns: 0 or, if it was dropped, -ENOBUFS or -ENOMEM. */
int hook_queue_add(HookQueue *q, const HookEvent *e);

/* Returns: 1 and the event whose turn it is, for hook_queue_done(); 0 if there is none; -ENOMEM if there was one, and
 * it was dropped. */
int hook_queue_take(HookQueue *q, HookEvent *ret);

/* Hooks have been told of @e, which is freed: its VM may have another turn. */
void hook_queue_done(HookQueue *q, HookEvent *e);

/* Drops all that wait. */
void hook_queue_clear(HookQueue *q);
