/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "report.h"
#include "vm.h"

/*
 * Simulation: all VMs, and the decisions when they connect, write, move or drop their connections, and when the
 * simulation ends. No VM has a timer of its own.
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
        VM *hungry;          /* VMs that can write and may have output; utlist */
        unsigned n_in_flight, n_connected, n_gone, n_unfinished, n_migrating;

        TimeoutQueue backoffs, handshakes, migration_limits, migration_pauses;
        sd_event_source *ticker, *feeder, *progress, *end, *interrupt, *terminate;
        usec_t last_tick_usec;
        double vmotions_due, drops_due;
        unsigned next_vmotion, next_paced; /* the VMs that are next */

        int source_fd, sink_fd; /* -1: none */
        Watch source_watch;     /* of a source that is not a regular file */

        bool ending;
        usec_t last_complaint_usec;
        int last_complaint_error;
};

/* Runs the simulation. Returns: 0 or a negative errno; errors are logged, s->report has the results. */
int simulation_run(Simulation *s, const SimOptions *options);
void simulation_done(Simulation *s);

/* Closes all connections politely, then ends simulation_run(). */
void simulation_end(Simulation *s);

/* Ends if nothing is left to do. */
void simulation_check_end(Simulation *s);

/* Ends the simulation because of an error on our side. */
void simulation_fail(Simulation *s, int error, const char *format, ...) _printf_(3, 4);

/* Logs something that can happen to thousands of VMs at the same time, with a rate limit. */
void simulation_complain(Simulation *s, int error, const char *format, ...) _printf_(3, 4);

/* Logs and counts a violation of the protocol by the concentrator. */
void simulation_violation(Simulation *s, const char *format, ...) _printf_(2, 3);

/* Called when @vm may have output and its connection has room: its output is sent soon. */
void simulation_make_hungry(VM *vm);

void simulation_vm_connected(Simulation *s, VM *vm);
void simulation_vm_disconnected(Simulation *s, VM *vm);

/*
 * Between simulation.c, simulation-activity.c and simulation-end.c
 */

/* Starts the timers for output, vMotions and drops. Returns: 0 or a negative errno. */
int simulation_begin_activity(Simulation *s);

/* Called when @vm has no output, or its connection has no room. */
void simulation_make_sated(VM *vm);

/* Returns: whether more vMotions will be made. */
bool simulation_wants_vmotions(const Simulation *s);

/* Handler of source_watch */
void simulation_source_readable(Watch *w, uint32_t events);

/* Sets up the signals and timers that end the simulation, and the display of progress. Returns: 0 or a negative
 * errno. */
int simulation_watch_for_end(Simulation *s);
