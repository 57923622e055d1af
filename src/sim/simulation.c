/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <utlist.h>

#include "basic/log.h"
#include "basic/signals.h"
#include "simulation.h"

#define TICK_USEC (10 * USEC_PER_MSEC)
#define PACED_EACH_TICK 1000U  /* VMs at least; and each has its turn at least ten times a second */
#define FEED_EACH_TURN 16U     /* VMs, before sockets have their turn */
#define END_PATIENCE_USEC (10 * USEC_PER_SEC)
#define COMPLAINT_INTERVAL_USEC (5 * USEC_PER_SEC)
#define SIMULATION_FEW 10U /* VMs: what happens to each can be told */

/* Descriptors that are not VMs': standard streams, epoll, timers, and targets of vMotions. */
#define DESCRIPTORS_SPARE 64U
#define DESCRIPTORS_PER_PROGRAM 4U

__attribute__((format(printf, 3, 0))) static void complain(Simulation *s, int error, const char *format,
                                                           va_list ap) {
        char text[LOG_MESSAGE_MAX];
        usec_t now = now_monotonic();

        if (s->options->count >= SIMULATION_FEW || error == -ECONNREFUSED) {
                if (error == s->last_complaint_error && now - s->last_complaint < COMPLAINT_INTERVAL_USEC)
                        return;
                s->last_complaint_error = error;
                s->last_complaint = now;
        }

        errno = abs(error);
        vsnprintf(text, sizeof text, format, ap);
        log_warning("%s", text);
}

void simulation_complain(Simulation *s, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        complain(s, error, format, ap);
        va_end(ap);
}

void simulation_violation(Simulation *s, const char *format, ...) {
        va_list ap;

        s->report.violations++;
        va_start(ap, format);
        complain(s, -EPROTO, format, ap);
        va_end(ap);
}

void simulation_fail(Simulation *s, int error, const char *format, ...) {
        char text[LOG_MESSAGE_MAX];
        va_list ap;

        errno = abs(error);
        va_start(ap, format);
        vsnprintf(text, sizeof text, format, ap);
        va_end(ap);

        log_error("%s", text);
        s->report.failed = true;
        simulation_end(s);
}

static void connect_waiting(Simulation *s) {
        while (s->waiting && s->n_in_flight < s->options->in_flight && !s->ending) {
                VM *vm = s->waiting;

                DL_DELETE(s->waiting, vm);
                vm_connect(vm);
        }
}

static void vm_wait(Simulation *s, VM *vm) {
        vm->state = VM_WAITING;
        DL_APPEND(s->waiting, vm);
}

static void on_rested(Timeout *t) {
        VM *vm = container_of(t, VM, timeout);

        vm_wait(vm->simulation, vm);
        connect_waiting(vm->simulation);
}

static void be_sated(VM *vm) {
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

                be_sated(vm);
                if (vm_feed(vm))
                        simulation_make_hungry(vm);
        }

        if (!s->hungry)
                (void) sd_event_source_set_enabled(s->feeder, SD_EVENT_OFF);

        return 0;
}

static void on_source_readable(Watch *w, _unused_ uint32_t events) {
        Simulation *s = container_of(w, Simulation, source_watch);

        (void) poller_watch(s->poller, w, 0);
        simulation_make_hungry(&s->vms[0]);
}

static void tell_connected(Simulation *s, const VM *vm) {
        bool few = s->options->count < SIMULATION_FEW;
        bool all = s->n_connected > 1 && s->n_connected == s->options->count &&
                   s->report.handshakes_done == s->n_connected;
        char name[ESXI_NAME_MAX], address[ADDRESS_TEXT_MAX];

        if (!few && !all)
                return;

        address_format(&s->options->hosts.concentrator, address);
        if (few)
                log_info("%s: connected to %s", vm_name(vm, name), address);
        if (all)
                log_info("All %u VMs are connected to %s.", s->n_connected, address);
}

void simulation_vm_connected(Simulation *s, VM *vm) {
        s->n_in_flight--;
        s->n_connected++;

        tell_connected(s, vm);
        connect_waiting(s);
        simulation_check_end(s);
}

void simulation_vm_disconnected(Simulation *s, VM *vm) {
        be_sated(vm);

        if (s->ending || s->options->reconnect == USEC_INFINITY) {
                vm->state = VM_GONE;
                s->n_gone++;
        } else {
                vm->state = VM_RESTING;
                timeout_start(&s->rests, &vm->timeout);
        }

        connect_waiting(s);
        simulation_check_end(s);
}

static void pace(Simulation *s) {
        unsigned n = MAX(PACED_EACH_TICK, s->options->count / 10);

        n = MIN(n, s->options->count);
        for (unsigned i = 0; i < n; i++) {
                vm_feed(&s->vms[s->next_paced]);
                s->next_paced = (s->next_paced + 1) % s->options->count;
        }
}

static bool wants_vmotions(const Simulation *s) {
        return s->options->vmotion_every != USEC_INFINITY && s->report.vmotions_begun < s->options->n_vmotions;
}

/* All in turn, so each moves every so often and no two at once. Who cannot be moved now is passed over. */
static void begin_vmotions(Simulation *s) {
        for (unsigned i = 0; i < s->options->count && s->vmotions_due >= 1 && wants_vmotions(s); i++) {
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

static void drop_connections(Simulation *s) {
        for (; s->drops_due >= 1; s->drops_due -= 1) {
                VM *vm = &s->vms[(unsigned) random() % s->options->count];

                if (vm_can_be_disturbed(vm))
                        vm_drop(vm);
        }
}

static int on_tick(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Simulation *s = userdata;
        const SimOptions *o = s->options;
        usec_t now = event_now(s->event);
        double vm_usec = (double) (now - s->last_tick) * s->n_connected;

        s->last_tick = now;
        if (o->rate != RATE_NONE && o->rate != RATE_MAX)
                pace(s);

        if (wants_vmotions(s)) {
                s->vmotions_due += vm_usec / (double) o->vmotion_every;
                begin_vmotions(s);
        }
        if (o->drop_every != USEC_INFINITY) {
                s->drops_due += vm_usec / (double) o->drop_every;
                drop_connections(s);
        }

        /* Else it is gone. */
        if (!s->ending)
                (void) sd_event_source_set_time(source, now + TICK_USEC);

        return 0;
}

static int on_progress(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Simulation *s = userdata;
        Report *r = &s->report;

        fprintf(stderr, "\r%u of %u VMs connected, %llu vMotions, %.1f MB sent, %.1f MB received\033[K",
                s->n_connected, s->options->count, (unsigned long long) r->vmotions_completed,
                (double) r->bytes_sent / 1e6,
                (double) r->bytes_received / 1e6);
        (void) sd_event_source_set_time_relative(source, USEC_PER_SEC);
        return 0;
}

/* Whether what is to be done ends by itself; a guest that listens is there until it is told to go. */
static bool has_end(const Simulation *s) {
        const SimOptions *o = s->options;

        return (sim_options_output_ends(o) || o->n_vmotions != UINT64_MAX) && o->run_for == USEC_INFINITY &&
               !o->sink && !o->echo && !o->command;
}

static bool is_done(const Simulation *s) {
        const SimOptions *o = s->options;
        bool all_sent = !sim_options_output_ends(o) || s->n_unfinished == 0;
        bool all_moved = o->n_vmotions == UINT64_MAX || !wants_vmotions(s);

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
        be_sated(vm);
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

        /* It is over now; what follows is no more than decency. */
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

        /* Who asks twice does not want to wait. */
        if (s->ending)
                return sd_event_exit(s->event, 0);

        simulation_end(s);
        return 0;
}

static int raise_descriptor_limit(const SimOptions *o) {
        unsigned each = 1 + (o->command ? DESCRIPTORS_PER_PROGRAM : 0);
        uint64_t needed = (uint64_t) o->count * each + DESCRIPTORS_SPARE;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return log_error_errno(errno, "Cannot tell the limit of descriptors: %m");

        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);

        if (limit.rlim_max >= needed)
                return 0;

        return log_error_errno(EMFILE,
                               "%u VMs need %llu file descriptors, but the limit is %llu (ulimit -Hn).",
                               o->count, (unsigned long long) needed, (unsigned long long) limit.rlim_max);
}

static int open_files(Simulation *s) {
        const SimOptions *o = s->options;
        struct stat st;

        if (o->sink) {
                if (streq(o->sink, "-"))
                        s->sink_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
                else
                        s->sink_fd = open(o->sink, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
                if (s->sink_fd < 0)
                        return log_error_errno(errno, "Cannot open %s: %m", o->sink);
        }

        if (!o->source)
                return 0;

        s->source_fd = streq(o->source, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                             : open(o->source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (s->source_fd < 0 || fstat(s->source_fd, &st) < 0)
                return log_error_errno(errno, "Cannot open %s: %m", o->source);
        if (S_ISDIR(st.st_mode))
                return log_error_errno(EISDIR, "Cannot read %s: %m", o->source);

        if (lseek(s->source_fd, 0, SEEK_CUR) >= 0)
                return 0;
        if (o->count > 1) {
                log_error("%s can be read once only, so by one VM: leave out --count, or name a file.",
                          o->source);
                return -ESPIPE;
        }

        s->source_watch.fd = s->source_fd;
        return 0;
}

static int add_timers(Simulation *s) {
        const SimOptions *o = s->options;
        const struct {
                TimeoutQueue *queue;
                usec_t duration;
                TimeoutHandler handler;
        } queues[] = {
                {&s->rests, o->reconnect, on_rested},
                {&s->handshakes, SIMULATION_HANDSHAKE_USEC, vm_handshake_elapsed},
                {&s->migration_limits, MIGRATION_LIMIT_USEC, migration_limit_elapsed},
                {&s->migration_pauses, MIGRATION_PAUSE_USEC, migration_pause_elapsed},
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(queues); i++) {
                r = timeout_queue_init(queues[i].queue, s->event, queues[i].duration, queues[i].handler);
                if (r < 0)
                        return r;
        }

        r = sd_event_add_defer(s->event, &s->feeder, on_feed, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(s->feeder, SD_EVENT_OFF);
        if (r < 0)
                return r;

        if ((o->rate != RATE_NONE && o->rate != RATE_MAX) || o->vmotion_every != USEC_INFINITY ||
            o->drop_every != USEC_INFINITY) {
                r = sd_event_add_time_relative(s->event, &s->ticker, CLOCK_MONOTONIC, TICK_USEC, 1, on_tick, s);
                if (r < 0)
                        return r;
                (void) sd_event_source_set_enabled(s->ticker, SD_EVENT_ON);
                s->last_tick = event_now(s->event);
        }

        /* Only where there is something to wait for. */
        if (isatty(STDERR_FILENO) && !o->verbose && (has_end(s) || o->exit_when_connected)) {
                r = sd_event_add_time_relative(s->event, &s->progress, CLOCK_MONOTONIC, 2 * USEC_PER_SEC,
                                               USEC_PER_SEC / 10, on_progress, s);
                if (r < 0)
                        return r;
                (void) sd_event_source_set_enabled(s->progress, SD_EVENT_ON);
        }

        if (o->run_for != USEC_INFINITY) {
                r = sd_event_add_time_relative(s->event, &s->end, CLOCK_MONOTONIC, o->run_for, 1, on_end, s);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int add_signals(Simulation *s) {
        /* SIGCHLD: sd_event_add_child() wants it so. */
        leave_signals_to_loop(SIGCHLD, SIGINT, SIGTERM);

        int r = sd_event_add_signal(s->event, &s->interrupt, SIGINT, on_signal, s);
        if (r < 0)
                return r;

        return sd_event_add_signal(s->event, &s->terminate, SIGTERM, on_signal, s);
}

static int start(Simulation *s) {
        const SimOptions *o = s->options;
        int r;

        r = sd_event_new(&s->event);
        if (r < 0)
                return log_error_errno(r, "Cannot create an event loop: %m");
        r = poller_new(s->event, &s->poller);
        if (r < 0)
                return log_error_errno(r, "Cannot create a poller: %m");
        r = esxi_hosts_init(&s->hosts, s->poller, &o->hosts, &vm_link_handler);
        if (r < 0)
                return r;

        r = add_timers(s);
        if (r < 0)
                return log_error_errno(r, "Cannot set timers: %m");
        r = add_signals(s);
        if (r < 0)
                return log_error_errno(r, "Cannot watch for signals: %m");

        s->vms = calloc(o->count, sizeof(VM));
        if (!s->vms)
                return log_error_errno(ENOMEM, "Not enough memory for %u VMs.", o->count);

        for (s->n_vms = 0; s->n_vms < o->count; s->n_vms++) {
                VM *vm = &s->vms[s->n_vms];

                r = vm_init(vm, s, (unsigned) s->n_vms);
                if (r < 0)
                        return r;
                vm_wait(s, vm);
        }

        s->n_unfinished = o->count;
        return 0;
}

int simulation_run(Simulation *s, const SimOptions *options) {
        int r;

        *s = (Simulation){
                .options = options,
                .source_fd = -1,
                .sink_fd = -1,
                .source_watch = {.fd = -1, .handler = on_source_readable},
        };
        report_init(&s->report, options->count);

        r = raise_descriptor_limit(options);
        if (r < 0)
                return r;
        r = open_files(s);
        if (r < 0)
                return r;
        r = start(s);
        if (r < 0)
                return r;

        connect_waiting(s);
        r = sd_event_loop(s->event);
        if (r < 0)
                return log_error_errno(r, "The event loop failed: %m");

        return 0;
}

void simulation_done(Simulation *s) {
        /* All of them are told before any is waited for. */
        for (size_t i = 0; i < s->n_vms; i++)
                if (s->vms[i].program)
                        guest_program_hang_up(s->vms[i].program);

        for (size_t i = 0; i < s->n_vms; i++)
                vm_done(&s->vms[i]);
        free(s->vms);

        timeout_queue_done(&s->rests);
        timeout_queue_done(&s->handshakes);
        timeout_queue_done(&s->migration_limits);
        timeout_queue_done(&s->migration_pauses);
        esxi_hosts_done(&s->hosts);

        sd_event_source **const sources[] = {&s->ticker, &s->feeder, &s->progress, &s->end, &s->interrupt,
                                             &s->terminate};
        for (size_t i = 0; i < ELEMENTSOF(sources); i++)
                *sources[i] = sd_event_source_disable_unref(*sources[i]);

        if (s->poller) {
                poller_forget(s->poller, &s->source_watch);
                poller_free(s->poller);
        }
        sd_event_unref(s->event);
        safe_close(s->source_fd);
        safe_close(s->sink_fd);
        report_done(&s->report);
}
