/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-activity.h"

static void begin_sweep(VmActivity *a) {
        a->position = concentrator_consoles(a->concentrator);
        a->began = concentrator_now(a->concentrator);
}

static bool has_said_something(Console *console) {
        uint64_t before = TAKE(console->told_output, console->ring.end);

        return before != console->ring.end;
}

unsigned vm_activity_turn(VmActivity *a) {
        unsigned n_told = 0;

        if (!a->has_room(a))
                return 0;
        if (!a->position)
                begin_sweep(a);

        for (unsigned n = 0; a->position && n < VM_ACTIVITY_STEPS_MAX && n_told < VM_ACTIVITY_TOLD_MAX; n++) {
                Console *console = a->position;

                a->position = console->handle.next;
                if (has_said_something(console) && !a->is_old_news) {
                        a->tell(a, console);
                        n_told++;
                }
        }
        if (!a->position)
                a->is_old_news = false;

        return n_told;
}

static int on_turn(sd_event_source *timer, _unused_ usec_t usec, void *userdata) {
        VmActivity *a = userdata;

        if (!a->is_wanted(a))
                return 0;

        (void) vm_activity_turn(a);

        usec_t next = concentrator_now(a->concentrator) + VM_ACTIVITY_TURN_USEC;
        (void) sd_event_source_set_time(timer, a->position ? next : MAX(next, a->began + VM_ACTIVITY_USEC));
        return sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

int vm_activity_begin(VmActivity *a) {
        int enabled = SD_EVENT_OFF;

        if (a->timer)
                (void) sd_event_source_get_enabled(a->timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return 0;

        a->is_old_news = true;
        begin_sweep(a);
        if (!a->timer)
                return sd_event_add_time(concentrator_event(a->concentrator), &a->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                                         on_turn, a);

        (void) sd_event_source_set_time(a->timer, 0);
        return sd_event_source_set_enabled(a->timer, SD_EVENT_ONESHOT);
}

void vm_activity_forget(VmActivity *a, const Console *console) {
        if (a->position == console)
                a->position = console->handle.next;
}

void vm_activity_done(VmActivity *a) {
        a->timer = sd_event_source_disable_unref(a->timer);
}
