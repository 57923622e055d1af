/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "report.h"
#include "vm.h"

/*
 * Simulation: the hosts' whole world: all VMs, who of them connects when, who writes, moves or drops its
 * connection when, and when all of it ends. Nothing here is a timer for each VM.
 */
#define SIMULATION_HANDSHAKE_USEC (30 * USEC_PER_SEC)

struct Simulation {
        const SimOptions *options;
        sd_event *event;
        Poller *poller;
        EsxiHosts hosts;
        Report report;

        VM *vms;
        size_t n_vms;        /* initialized */
        VM *waiting;         /* to connect; utlist */
        VM *hungry;          /* could write, and may have something to write; utlist */
        unsigned n_in_flight, n_connected, n_gone, n_unfinished, n_migrating;

        TimeoutQueue rests, handshakes, migration_limits, migration_pauses;
        sd_event_source *ticker, *feeder, *progress, *end, *interrupt, *terminate;
        usec_t last_tick;
        double vmotions_due, drops_due;
        unsigned next_vmotion, next_paced; /* VMs whose turn it is */

        int source_fd, sink_fd; /* -1: none */
        Watch source_watch;     /* of a source that is no regular file */

        bool ending;
        usec_t last_complaint;
        int last_complaint_error;
};

/* Plays it all. Returns: 0, or a negative errno after having said what is wrong; s->report says the rest. */
int simulation_run(Simulation *s, const SimOptions *options);
void simulation_done(Simulation *s);

/* Lets the VMs say good-bye, then ends simulation_run(). */
void simulation_end(Simulation *s);

/* Ends if nothing is left to do. */
void simulation_check_end(Simulation *s);

/* Something is wrong on our side. */
void simulation_fail(Simulation *s, int error, const char *format, ...) _printf_(3, 4);

/* For what may happen to thousands of VMs at once: says it, but not thousands of times. */
void simulation_complain(Simulation *s, int error, const char *format, ...) _printf_(3, 4);

/* The concentrator does what it must not. */
void simulation_violation(Simulation *s, const char *format, ...) _printf_(2, 3);

/* It may have something to write, and has room for it: it gets a turn soon. */
void simulation_make_hungry(VM *vm);

void simulation_vm_connected(Simulation *s, VM *vm);
void simulation_vm_disconnected(Simulation *s, VM *vm);

/*
 * Between simulation.c, simulation-activity.c and simulation-end.c
 */

/* Sets the timers that have VMs write, move and drop their connections. Returns: 0 or a negative errno. */
int simulation_begin_activity(Simulation *s);

/* It has nothing to write, or nowhere to. */
void simulation_make_sated(VM *vm);

/* Whether there are more to come. */
bool simulation_wants_vmotions(const Simulation *s);

/* Handler of source_watch */
void simulation_source_readable(Watch *w, uint32_t events);

/* Signals and timers that end it, and the progress that is shown. Returns: 0 or a negative errno. */
int simulation_watch_for_end(Simulation *s);
