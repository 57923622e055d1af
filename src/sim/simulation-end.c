/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The end of a simulation: when it ends, how connections are closed, and the progress that is shown meanwhile. */

#include <stdio.h>

#include "basic/signals.h"
#include "simulation.h"

#define END_PATIENCE_USEC (10 * USEC_PER_SEC)

/* Returns: whether the simulation ends by itself. With a guest that reads input, it does not. */
static bool has_end(const Simulation *s) {
        const SimOptions *o = s->options;

        return (sim_options_output_ends(o) || o->n_vmotions != UINT64_MAX) && o->run_for_usec == USEC_INFINITY &&
               !o->sink && !o->echo && !o->command && !sim_options_has_serial(o);
}

static bool is_done(const Simulation *s) {
        const SimOptions *o = s->options;
        bool all_sent = !sim_options_output_ends(o) || s->n_unfinished == 0;
        bool all_moved = o->n_vmotions == UINT64_MAX || !simulation_wants_vmotions(s);

        return all_sent && all_moved && s->n_migrating == 0;
}

void simulation_check_end(Simulation *s) {
        const SimOptions *o = s->options;

        if (s->ending) {
                if (s->n_gone == o->count)
                        (void) sd_event_exit(s->event, 0);
                return;
        }

        if (s->n_gone == o->count || (o->exit_when_connected && s->n_connected + s->n_gone == o->count) ||
            (has_end(s) && is_done(s)))
                simulation_end(s);
}

static int on_patience_lost(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Simulation *s = userdata;

        return sd_event_exit(s->event, 0);
}

static void vm_say_goodbye(Simulation *s, VM *vm) {
        migration_free(vm->migration);
        simulation_make_sated(vm);
        timeout_stop(&vm->timeout);

        if (vm->state == VM_CONNECTED && !s->options->dead)
                vm_drop(vm);
        else {
                vm->link = esxi_link_free(vm->link);
                if (vm->state != VM_GONE)
                        s->n_gone++;
                vm->state = VM_GONE;
        }
}

void simulation_end(Simulation *s) {
        Report *r = &s->report;

        if (s->ending)
                return;

        /* The results are complete; the rest is only closing connections politely. */
        s->ending = true;
        r->connected = s->n_connected;
        for (size_t i = 0; i < s->n_vms; i++)
                r->failed |= s->vms[i].failed ||
                             (s->options->exit_when_connected && s->vms[i].state != VM_CONNECTED);

        s->ticker = sd_event_source_disable_unref(s->ticker);
        s->feeder = sd_event_source_disable_unref(s->feeder);
        if (s->progress)
                fputs("\r\033[K", stderr);
        s->progress = sd_event_source_disable_unref(s->progress);
        s->end = sd_event_source_disable_unref(s->end);
        (void) sd_event_add_time_relative(s->event, &s->end, CLOCK_MONOTONIC, END_PATIENCE_USEC, 0,
                                          on_patience_lost, s);

        for (size_t i = 0; i < s->n_vms; i++)
                vm_say_goodbye(s, &s->vms[i]);

        simulation_check_end(s);
}

static int on_end(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        simulation_end(userdata);
        return 0;
}

static int on_signal(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si,
                     void *userdata) {
        Simulation *s = userdata;

        /* At the second signal, exit at once. */
        if (s->ending)
                return sd_event_exit(s->event, 0);

        simulation_end(s);
        return 0;
}

static int on_progress(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Simulation *s = userdata;
        Report *r = &s->report;

        fprintf(stderr, "\r%u of %u VMs connected, %llu vMotions, %.1f MB sent, %.1f MB received\033[K",
                s->n_connected, (unsigned) s->options->count, (unsigned long long) r->vmotions_completed,
                (double) r->bytes_sent / 1e6,
                (double) r->bytes_received / 1e6);
        (void) sd_event_source_set_time_relative(source, USEC_PER_SEC);
        return 0;
}

static int add_signals(Simulation *s) {
        /* SIGCHLD: sd_event_add_child() requires this. */
        leave_signals_to_loop(SIGCHLD, SIGINT, SIGTERM);

        int r = sd_event_add_signal(s->event, &s->interrupt, SIGINT, on_signal, s);
        if (r < 0)
                return r;

        return sd_event_add_signal(s->event, &s->terminate, SIGTERM, on_signal, s);
}

int simulation_watch_for_end(Simulation *s) {
        const SimOptions *o = s->options;

        int r = add_signals(s);
        if (r < 0)
                return r;

        if (o->run_for_usec != USEC_INFINITY) {
                r = sd_event_add_time_relative(s->event, &s->end, CLOCK_MONOTONIC, o->run_for_usec, 1, on_end, s);
                if (r < 0)
                        return r;
        }

        /* Only if there is something to wait for */
        if (!isatty(STDERR_FILENO) || o->verbose || (!has_end(s) && !o->exit_when_connected))
                return 0;

        r = sd_event_add_time_relative(s->event, &s->progress, CLOCK_MONOTONIC, 2 * USEC_PER_SEC, USEC_PER_SEC / 10,
                                       on_progress, s);
        return r < 0 ? r : sd_event_source_set_enabled(s->progress, SD_EVENT_ON);
}
