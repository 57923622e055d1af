/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <utlist.h>

#include "basic/log.h"
#include "simulation.h"

#define COMPLAINT_INTERVAL_USEC (5 * USEC_PER_SEC)
#define SIMULATION_FEW 10U /* with fewer VMs, the events of each are shown */

/* Other descriptors than those of VMs: standard streams, epoll, timers, and targets of vMotions */
#define DESCRIPTORS_SPARE 64U
#define DESCRIPTORS_PER_PROGRAM 4U

__attribute__((format(printf, 3, 0))) static void complain(Simulation *s, int error, const char *format,
                                                           va_list ap) {
        char text[LOG_MESSAGE_MAX];
        usec_t now = now_monotonic();

        if (s->options->count >= SIMULATION_FEW || error == -ECONNREFUSED) {
                if (error == s->last_complaint_error && now - s->last_complaint_usec < COMPLAINT_INTERVAL_USEC)
                        return;
                s->last_complaint_error = error;
                s->last_complaint_usec = now;
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

static void on_backoff_elapsed(Timeout *t) {
        VM *vm = container_of(t, VM, timeout);

        vm_wait(vm->simulation, vm);
        connect_waiting(vm->simulation);
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
        simulation_make_sated(vm);

        if (s->ending || s->options->reconnect_usec == USEC_INFINITY) {
                vm->state = VM_GONE;
                s->n_gone++;
        } else {
                vm->state = VM_BACKOFF;
                timeout_start(&s->backoffs, &vm->timeout);
        }

        connect_waiting(s);
        simulation_check_end(s);
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
                               (unsigned) o->count, (unsigned long long) needed, (unsigned long long) limit.rlim_max);
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

static int add_timeouts(Simulation *s) {
        const SimOptions *o = s->options;
        const struct {
                TimeoutQueue *queue;
                usec_t duration;
                TimeoutHandler handler;
        } queues[] = {
                {&s->backoffs, o->reconnect_usec, on_backoff_elapsed},
                {&s->handshakes, SIMULATION_HANDSHAKE_USEC, vm_handshake_elapsed},
                {&s->migration_limits, MIGRATION_LIMIT_USEC, migration_limit_elapsed},
                {&s->migration_pauses, MIGRATION_PAUSE_USEC, migration_pause_elapsed},
        };

        for (size_t i = 0; i < ELEMENTSOF(queues); i++) {
                int r = timeout_queue_init(queues[i].queue, s->event, queues[i].duration, queues[i].handler);
                if (r < 0)
                        return r;
        }

        return 0;
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

        r = add_timeouts(s);
        if (r >= 0)
                r = simulation_begin_activity(s);
        if (r >= 0)
                r = simulation_watch_for_end(s);
        if (r < 0)
                return log_error_errno(r, "Cannot prepare the event loop: %m");

        s->vms = calloc(o->count, sizeof(VM));
        if (!s->vms)
                return log_error_errno(ENOMEM, "Not enough memory for %u VMs.", (unsigned) o->count);

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
                .source_watch = {.fd = -1, .handler = simulation_source_readable},
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
        /* Ask all programs to end before waiting for the first one. */
        for (size_t i = 0; i < s->n_vms; i++)
                if (s->vms[i].program)
                        guest_program_hang_up(s->vms[i].program);

        for (size_t i = 0; i < s->n_vms; i++)
                vm_done(&s->vms[i]);
        free(s->vms);

        timeout_queue_done(&s->backoffs);
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
