/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The activity of connected VMs: decides when they write, move or drop their connections. One timer and one
 * deferred source for all of them. */

#include <utlist.h>

#include "simulation.h"

#define TICK_USEC (10 * USEC_PER_MSEC)
#define PACED_EACH_TICK 1000U  /* at least this number of VMs; and each VM at least ten times in a second */
#define FEED_EACH_TURN 16U     /* VMs before sockets are handled */

void simulation_make_sated(VM *vm) {
        if (!vm->hungry)
                return;

        DL_DELETE(vm->simulation->hungry, vm);
        vm->hungry = false;
}

void simulation_make_hungry(VM *vm) {
        Simulation *s = vm->simulation;

        if (vm->hungry || !vm->link || s->ending)
                return;

        if (!s->hungry)
                (void) sd_event_source_set_enabled(s->feeder, SD_EVENT_ON);
        DL_APPEND(s->hungry, vm);
        vm->hungry = true;
}

static int on_feed(_unused_ sd_event_source *source, void *userdata) {
        Simulation *s = userdata;

        for (unsigned i = 0; i < FEED_EACH_TURN && s->hungry; i++) {
                VM *vm = s->hungry;

                simulation_make_sated(vm);
                if (vm_feed(vm))
                        simulation_make_hungry(vm);
        }

        if (!s->hungry)
                (void) sd_event_source_set_enabled(s->feeder, SD_EVENT_OFF);

        return 0;
}

void simulation_source_readable(Watch *w, _unused_ uint32_t events) {
        Simulation *s = container_of(w, Simulation, source_watch);

        (void) poller_watch(s->poller, w, 0);
        simulation_make_hungry(&s->vms[0]);
}

static void pace(Simulation *s) {
        unsigned n = MAX(PACED_EACH_TICK, s->options->count / 10);

        n = MIN(n, s->options->count);
        for (unsigned i = 0; i < n; i++) {
                vm_feed(&s->vms[s->next_paced]);
                s->next_paced = (s->next_paced + 1) % s->options->count;
        }
}

bool simulation_wants_vmotions(const Simulation *s) {
        return s->options->vmotion_interval_usec != USEC_INFINITY && s->report.vmotions_begun < s->options->n_vmotions;
}

/* VMs move one after the other, so that each moves at the interval. A VM that cannot be moved now is skipped. */
static void begin_vmotions(Simulation *s) {
        for (unsigned i = 0; i < s->options->count && s->vmotions_due >= 1 && simulation_wants_vmotions(s); i++) {
                VM *vm = &s->vms[s->next_vmotion];

                s->next_vmotion = (s->next_vmotion + 1) % s->options->count;
                if (!vm_can_be_disturbed(vm))
                        continue;

                s->vmotions_due -= 1;
                int r = migration_begin(vm);
                if (r < 0) {
                        simulation_fail(s, r, "Cannot begin a vMotion: %m");
                        return;
                }
                esxi_link_flush(vm->link);
        }

        s->vmotions_due = MIN(s->vmotions_due, (double) s->options->count);
}

/* A VM that cannot drop its connection now is skipped, and another one drops its connection in its place. */
static void drop_connections(Simulation *s) {
        for (unsigned i = 0; i < s->options->count && s->drops_due >= 1; i++) {
                VM *vm = &s->vms[(unsigned) random() % s->options->count];

                if (!vm_can_be_disturbed(vm))
                        continue;

                s->drops_due -= 1;
                vm_drop(vm);
        }

        s->drops_due = MIN(s->drops_due, (double) s->options->count);
}

static int on_tick(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Simulation *s = userdata;
        const SimOptions *o = s->options;
        usec_t now = event_now(s->event);
        double vm_usec = (double) (now - s->last_tick_usec) * s->n_connected;

        s->last_tick_usec = now;
        if (o->rate != RATE_NONE && o->rate != RATE_MAX)
                pace(s);

        /* Before vMotions: on a busy machine more of them are due than can be begun, and no VM would be left. */
        if (o->drop_interval_usec != USEC_INFINITY) {
                s->drops_due += vm_usec / (double) o->drop_interval_usec;
                drop_connections(s);
        }
        if (simulation_wants_vmotions(s)) {
                s->vmotions_due += vm_usec / (double) o->vmotion_interval_usec;
                begin_vmotions(s);
        }

        /* Otherwise the timer has been freed. */
        if (!s->ending)
                (void) sd_event_source_set_time(source, now + TICK_USEC);

        return 0;
}

int simulation_begin_activity(Simulation *s) {
        const SimOptions *o = s->options;

        int r = sd_event_add_defer(s->event, &s->feeder, on_feed, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(s->feeder, SD_EVENT_OFF);
        if (r < 0)
                return r;

        if ((o->rate == RATE_NONE || o->rate == RATE_MAX) && o->vmotion_interval_usec == USEC_INFINITY &&
            o->drop_interval_usec == USEC_INFINITY)
                return 0;

        s->last_tick_usec = event_now(s->event);
        r = sd_event_add_time_relative(s->event, &s->ticker, CLOCK_MONOTONIC, TICK_USEC, 1, on_tick, s);
        return r < 0 ? r : sd_event_source_set_enabled(s->ticker, SD_EVENT_ON);
}
