/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/console.h"

/*
 * VmActivity: tells which VMs have said something since that was told last.
 *
 * It costs nothing per byte, and nothing while nobody wants to know. A sweep over all VMs compares how much each has said with
 * what it had said when it was told last. A sweep begins at most every VM_ACTIVITY_USEC, and goes on in short turns, each of which
 * tells a bounded number of VMs: so each VM has its turn, however many print without end.
 */
#define VM_ACTIVITY_USEC (5 * USEC_PER_SEC)
#define VM_ACTIVITY_TURN_USEC (100 * USEC_PER_MSEC)

/* The maximum of VMs that a turn compares, and of those that it tells */
#define VM_ACTIVITY_STEPS_MAX 1024U
#define VM_ACTIVITY_TOLD_MAX 8U

typedef struct VmActivity VmActivity;

struct VmActivity {
        Concentrator *concentrator;
        bool (*is_wanted)(const VmActivity *a);
        bool (*has_room)(const VmActivity *a); /* a sweep waits while there is none */
        void (*tell)(VmActivity *a, Console *console);

        sd_event_source *timer; /* NULL: nobody has wanted to know yet */
        Console *position;      /* the next VM of the sweep; NULL: the next sweep is still to begin */
        usec_t began;           /* when the sweep began, CLOCK_MONOTONIC */
        bool is_old_news;       /* the first sweep tells nothing: callers have just got the present state */
};

/* Begins to sweep, unless that goes on already, and ends when it is not wanted any more. Returns: 0 or a negative errno. */
int vm_activity_begin(VmActivity *a);
void vm_activity_done(VmActivity *a);

/* Must be called before @console is removed. */
void vm_activity_forget(VmActivity *a, const Console *console);

/* Does one turn. Returns: of how many VMs it has told. */
unsigned vm_activity_turn(VmActivity *a);
