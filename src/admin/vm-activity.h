/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/console.h"

/*
 * VmActivity: events that say which VMs have sent output since their last such event.
 *
 * It costs nothing for each byte, and nothing while no caller wants these events. A sweep over all VMs compares the size of each
 * VM's output with its size at the last event. A sweep begins at most every VM_ACTIVITY_USEC. It continues in short turns, each
 * with a limited number of events, so that every VM has its turn, however many send output all the time.
 */
#define VM_ACTIVITY_USEC (5 * USEC_PER_SEC)
#define VM_ACTIVITY_TURN_USEC (100 * USEC_PER_MSEC)

/* The maximum of VMs that a turn compares, and of events that it creates */
#define VM_ACTIVITY_STEPS_MAX 1024U
#define VM_ACTIVITY_TOLD_MAX 8U

typedef struct VmActivity VmActivity;

struct VmActivity {
        Concentrator *concentrator;
        bool (*is_wanted)(const VmActivity *a);
        bool (*has_room)(const VmActivity *a); /* a sweep waits while there is none */
        void (*tell)(VmActivity *a, Console *console);

        sd_event_source *timer; /* NULL: no caller has wanted these events so far */
        Console *position;      /* the next VM of the sweep; NULL: no sweep is in progress */
        usec_t began;           /* when the sweep began, CLOCK_MONOTONIC */
        bool is_old_news;       /* the first sweep creates no events, because callers have just got the present state */
};

/* Begins to sweep, if that has not begun. It ends by itself when no caller wants it any more. Returns: 0 or a negative errno. */
int vm_activity_begin(VmActivity *a);
void vm_activity_done(VmActivity *a);

/* Must be called before @console is removed. */
void vm_activity_forget(VmActivity *a, const Console *console);

/* Does one turn. Returns: the number of events. */
unsigned vm_activity_turn(VmActivity *a);
