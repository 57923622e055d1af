/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>

#include "basic/hash.h"
#include "basic/log.h"
#include "simulation.h"
#include "vm.h"

/* The maximum of input that waits for the guest; beyond it, the connection is not read. */
#define VM_INPUT_HIGH 65536U
#define VM_INPUT_MAX (VM_INPUT_HIGH + 2 * 65536U)

#define VM_FEED_PIECE 65536U
#define VM_FEED_MAX (4 * VM_FEED_PIECE) /* before other VMs are handled */

const char *vm_name(const VM *vm, char *name) {
        const SimOptions *o = vm->simulation->options;

        if (o->count == 1)
                snprintf(name, ESXI_NAME_MAX, "%s", o->name);
        else
                snprintf(name, ESXI_NAME_MAX, "%s-%u", o->name, vm->number + 1);

        return name;
}

static void add_uuid(uint8_t uuid[static 16], unsigned n) {
        for (size_t i = 16; i-- > 0 && n > 0; n >>= 8) {
                n += uuid[i];
                uuid[i] = (uint8_t) n;
        }
}

static void vm_identify(EsxiLink *link, EsxiIdentity *ret) {
        VM *vm = esxi_link_owner(link);

        vm_name(vm, ret->name);
        memcpy(ret->uuid, vm->simulation->options->uuid, sizeof ret->uuid);
        add_uuid(ret->uuid, vm->number);
}

/* Reads only as much as the guest can take. */
static void vm_update_reading(VM *vm) {
        if (!vm->link || (vm->simulation->options->dead && vm->state == VM_CONNECTED && !vm->dropping))
                return;

        if (vm->input.size >= VM_INPUT_HIGH || vm->output.echo.size >= SERIAL_OUTPUT_ECHO_HIGH ||
            (vm->remote && remote_guest_backlog(vm->remote) >= REMOTE_GUEST_BACKLOG_HIGH))
                esxi_link_pause(vm->link);
        else
                esxi_link_resume(vm->link);
}

static void on_guest_readable(void *userdata) {
        simulation_make_hungry(userdata);
}

static void vm_feed_program(VM *vm) {
        while (vm->input.size > 0) {
                size_t n = guest_program_write(vm->program, buffer_data(&vm->input), vm->input.size);
                if (n == 0)
                        break;
                buffer_consume(&vm->input, n);
        }
}

static void on_guest_writable(void *userdata) {
        VM *vm = userdata;

        if (vm->program)
                vm_feed_program(vm);
        vm_update_reading(vm);
}

static const GuestHandler guest_handler = {
        .readable = on_guest_readable,
        .writable = on_guest_writable,
};

int vm_init(VM *vm, Simulation *s, unsigned number) {
        const SimOptions *o = s->options;
        char name[ESXI_NAME_MAX];

        *vm = (VM){.simulation = s, .number = number, .host = number, .input = BUFFER_INIT(VM_INPUT_MAX)};
        serial_output_init(&vm->output, o, vm_name(vm, name));
        vm->output.source_fd = s->source_fd;
        vm->output.source_watch = s->source_watch.fd >= 0 ? &s->source_watch : NULL;
        vm->output.poller = s->poller;

        if (o->command) {
                int r = guest_program_new(s->poller, o->command,
                                          (o->pipe ? GUEST_PROGRAM_PIPE : 0) |
                                                  (o->exec_once ? GUEST_PROGRAM_ONCE : 0),
                                          &guest_handler, vm, &vm->program);
                if (r < 0)
                        return log_error_errno(r, "Cannot run \"%s\": %m", o->command);
                vm->output.program = vm->program;
        }

        if (sim_options_has_serial(o)) {
                int r = remote_guest_new(s->poller, &o->serial, &guest_handler, vm, &vm->remote);
                if (r < 0)
                        return log_error_errno(r, "Cannot join a serial port: %m");
                vm->output.remote = vm->remote;
        }

        return 0;
}

void vm_done(VM *vm) {
        migration_free(vm->migration);
        vm->link = esxi_link_free(vm->link);
        vm->program = guest_program_free(vm->program);
        vm->remote = remote_guest_free(vm->remote);
        timeout_stop(&vm->timeout);
        serial_output_done(&vm->output);
        buffer_clear(&vm->input);
}

void vm_connect(VM *vm) {
        Simulation *s = vm->simulation;

        vm->state = VM_CONNECTING;
        vm->accepted = vm->named = vm->dropping = false;
        vm->since_usec = now_monotonic();
        if (s->report.first_attempt_usec == 0)
                s->report.first_attempt_usec = vm->since_usec;

        s->n_in_flight++;
        timeout_start(&s->handshakes, &vm->timeout);

        int r = esxi_link_new(&s->hosts, vm->host, vm, &vm->link);
        if (r < 0)
                vm_disconnected(vm, r);
}

void vm_handshake_elapsed(Timeout *t) {
        VM *vm = container_of(t, VM, timeout);
        char name[ESXI_NAME_MAX];

        simulation_complain(vm->simulation, ETIMEDOUT, "%s: the handshake has not been finished in %llu s.",
                            vm_name(vm, name), SIMULATION_HANDSHAKE_USEC / USEC_PER_SEC);
        vm_disconnected(vm, -ETIMEDOUT);
}

void vm_disconnected(VM *vm, int error) {
        Simulation *s = vm->simulation;
        Report *report = &s->report;
        char name[ESXI_NAME_MAX], address[ADDRESS_TEXT_MAX];

        if (vm->migration) {
                report->vmotions_failed++;
                vm->migration = migration_free(vm->migration);
        }

        timeout_stop(&vm->timeout);
        vm->link = esxi_link_free(vm->link);
        address_format(&s->options->hosts.concentrator, address);
        vm_name(vm, name);

        if (vm->state == VM_CONNECTING) {
                s->n_in_flight--;
                report->handshakes_failed++;
                vm->failed = true;

                if (error == -ECONNREFUSED)
                        simulation_complain(s, error, "Cannot connect to %s: %m, is vspcd running?", address);
                else if (error < 0 && error != -ETIMEDOUT && error != -ESHUTDOWN)
                        simulation_complain(s, error, "%s: cannot connect to %s: %m", name, address);
                else if (error == 0)
                        simulation_complain(s, ECONNRESET, "%s: the concentrator has closed the connection "
                                            "before the handshake was over.", name);
        } else if (vm->state == VM_CONNECTED) {
                s->n_connected--;
                if (s->ending)
                        ; /* closing politely */
                else if (vm->dropping)
                        report->dropped++;
                else {
                        report->lost++;
                        simulation_complain(s, error < 0 ? error : -ECONNRESET,
                                            "%s: the connection has been lost: %s.", name,
                                            error < 0 ? strerror(-error) : "closed by the concentrator");
                }
        }

        simulation_vm_disconnected(s, vm);
}

void vm_drop(VM *vm) {
        vm->dropping = true;
        esxi_link_part(vm->link);
}

static void vm_check_connected(VM *vm) {
        Simulation *s = vm->simulation;

        if (vm->state != VM_CONNECTING || !vm->accepted || !vm->named)
                return;

        timeout_stop(&vm->timeout);
        vm->state = VM_CONNECTED;
        vm->failed = false;
        if (s->options->dead)
                esxi_link_pause(vm->link);

        report_handshake(&s->report, vm->since_usec);
        simulation_vm_connected(s, vm);
}

static int vm_introduce(EsxiLink *link) {
        VM *vm = esxi_link_owner(link);
        const SimOptions *o = vm->simulation->options;
        uint8_t text[TELNET_SUBNEGOTIATION_MAX];
        size_t n = strlen(o->uri);

        if (link != vm->link)
                return migration_introduce(vm->migration);

        if (o->begin_early && !vm->was_early) {
                vm->was_early = true;
                int r = migration_begin(vm);
                if (r < 0)
                        return r;
        }

        text[0] = (uint8_t) o->direction;
        memcpy(text + 1, o->uri, n);
        return esxi_link_put(link, VMWARE_DO_PROXY, text, n + 1);
}

static void vm_named(EsxiLink *link) {
        VM *vm = esxi_link_owner(link);

        vm->named = true;
        vm_check_connected(vm);
}

static void vm_answer(EsxiLink *link, const VMwareSuboption *s) {
        VM *vm = esxi_link_owner(link);
        const SimOptions *o = vm->simulation->options;
        char name[ESXI_NAME_MAX];

        switch (s->code) {

        case VMWARE_WILL_PROXY:
                if (link != vm->link || vm->accepted) {
                        simulation_violation(vm->simulation, "%s: WILL-PROXY, but there was no DO-PROXY.",
                                             vm_name(vm, name));
                        break;
                }
                vm->accepted = true;
                esxi_link_go_live(link);
                simulation_make_hungry(vm);
                vm_check_connected(vm);
                break;

        case VMWARE_WONT_PROXY:
                simulation_complain(vm->simulation, EACCES,
                                    "%s: the concentrator refuses service URI \"%s\", direction %c.",
                                    vm_name(vm, name), o->uri, o->direction);
                if (link == vm->link)
                        vm_disconnected(vm, -ESHUTDOWN);
                break;

        default:
                migration_answer(vm, link, s);
        }
}

static void write_sink(Simulation *s, const uint8_t *data, size_t n) {
        while (n > 0) {
                ssize_t k = write(s->sink_fd, data, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0) {
                        log_error_errno(errno, "Cannot write to %s: %m", s->options->sink);
                        s->report.failed = true;
                        s->sink_fd = safe_close(s->sink_fd);
                        simulation_end(s);
                        return;
                }
                data += k;
                n -= (size_t) k;
        }
}

static void vm_input(EsxiLink *link, const uint8_t *data, size_t n) {
        VM *vm = esxi_link_owner(link);
        Simulation *s = vm->simulation;
        char name[ESXI_NAME_MAX];

        if (vm->migration && !migration_permits_input(vm->migration, link))
                simulation_violation(s, "%s: %zu bytes of input on the %s between GOAHEAD and COMPLETE.",
                                     vm_name(vm, name), n, link == vm->link ? "source" : "target");

        s->report.bytes_received += n;
        if (s->options->count == 1)
                s->report.hash_received = fnv1a(s->report.hash_received, data, n);
        if (s->sink_fd >= 0)
                write_sink(s, data, n);

        int r = 0;
        if (s->options->echo) {
                r = buffer_append(&vm->output.echo, data, n);
                simulation_make_hungry(vm);
        }
        if (vm->program && r >= 0) {
                r = buffer_append(&vm->input, data, n);
                vm_feed_program(vm);
        }
        if (vm->remote)
                remote_guest_write(vm->remote, data, n);
        if (r < 0)
                simulation_fail(s, r, "Cannot keep what has been typed: %m");

        vm_update_reading(vm);
}

static void vm_brk(EsxiLink *link) {
        VM *vm = esxi_link_owner(link);
        char name[ESXI_NAME_MAX];

        vm->simulation->report.breaks++;
        log_notice("%s: BRK%s", vm_name(vm, name), vm->program ? " (which means nothing to --exec)" : "");
        if (!vm->remote)
                return;

        remote_guest_send_break(vm->remote);
        vm_update_reading(vm);
}

static void vm_check_finished(VM *vm) {
        if (vm->finished || !serial_output_is_over(&vm->output) || !esxi_link_drained(vm->link))
                return;

        vm->finished = true;
        vm->simulation->n_unfinished--;
        simulation_check_end(vm->simulation);
}

bool vm_feed(VM *vm) {
        Simulation *s = vm->simulation;
        uint8_t data[VM_FEED_PIECE];
        size_t fed = 0, room;

        if (!vm->link || s->ending || (vm->migration && migration_holds_output(vm->migration)))
                return false;

        while (fed < VM_FEED_MAX && (room = esxi_link_room(vm->link)) > 0) {
                usec_t now = s->options->rate == RATE_MAX ? 0 : event_now(s->event);
                size_t n = serial_output_take(&vm->output, now, data, MIN(room, sizeof data));
                if (n == 0)
                        break;

                int r = esxi_link_write(vm->link, data, n);
                if (r < 0) {
                        simulation_fail(s, r, "Cannot queue output: %m");
                        return false;
                }

                fed += n;
                s->report.bytes_sent += n;
                if (s->options->count == 1)
                        s->report.hash_sent = fnv1a(s->report.hash_sent, data, n);
                esxi_link_flush(vm->link);
        }

        if (fed > 0)
                vm_update_reading(vm);
        vm_check_finished(vm);

        return fed >= VM_FEED_MAX;
}

static void vm_writable(EsxiLink *link) {
        VM *vm = esxi_link_owner(link);

        if (link != vm->link)
                return;

        if (vm->migration)
                migration_source_writable(vm->migration);
        simulation_make_hungry(vm);
}

void vm_switch_link(VM *vm, EsxiLink *link) {
        /* The source host closes at once, often before the concentrator has read COMPLETE. */
        esxi_link_free(vm->link);
        vm->link = link;
        vm->host++;
        vm_update_reading(vm);
}

void vm_migration_ended(VM *vm) {
        simulation_make_hungry(vm);
        simulation_check_end(vm->simulation);
}

static void vm_ended(EsxiLink *link, int error) {
        VM *vm = esxi_link_owner(link);

        if (vm->migration && migration_survives(vm->migration, link, error))
                return;

        vm_disconnected(vm, error);
}

const EsxiLinkHandler vm_link_handler = {
        .introduce = vm_introduce,
        .identify = vm_identify,
        .named = vm_named,
        .answer = vm_answer,
        .input = vm_input,
        .brk = vm_brk,
        .writable = vm_writable,
        .ended = vm_ended,
};
