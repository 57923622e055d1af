/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/random.h>

#include "basic/log.h"
#include "simulation.h"

#define SEQUENCE_SIZE 4U

typedef enum MigrationState {
        MIGRATION_BEGUN,
        MIGRATION_OPENING,
        MIGRATION_ACCEPTED,
} MigrationState;

struct Migration {
        VM *vm;
        EsxiLink *target;
        Timeout timeout;
        usec_t begun_usec;
        uint8_t state;   /* MigrationState */
        bool aborts : 1; /* abort it instead of completing it */
        bool pauses : 1; /* pause between PEER-OK and COMPLETE, so that name and UUID can come first */
        bool names_sequence : 1; /* in its ABORT */
        uint8_t sequence[SEQUENCE_SIZE];
        size_t n_secret;
        uint8_t secret[TELNET_SUBNEGOTIATION_MAX];
};

int migration_begin(VM *vm) {
        Simulation *s = vm->simulation;
        uint8_t random[2 * SEQUENCE_SIZE];
        char name[ESXI_NAME_MAX];

        assert(!vm->migration);

        Migration *m = calloc(1, sizeof(Migration));
        if (!m)
                return -ENOMEM;

        s->report.vmotions_begun++;
        unsigned each = s->options->abort_each;
        m->vm = vm;
        m->aborts = each > 0 && s->report.vmotions_begun % each == 0;

        /* Make sure that sequences with 0xFF occur. */
        if (getrandom(random, sizeof random, 0) != sizeof random)
                memset(random, 0, sizeof random);
        for (size_t i = 0; i < SEQUENCE_SIZE; i++)
                m->sequence[i] = random[SEQUENCE_SIZE + i] < 32 ? 0xff : random[i];
        m->pauses = random[0] & 1;
        m->names_sequence = random[1] & 1;

        m->begun_usec = now_monotonic();
        timeout_start(&s->migration_limits, &m->timeout);
        vm->migration = m;
        s->n_migrating++;

        log_debug("%s: vMotion begins", vm_name(vm, name));
        return esxi_link_put(vm->link, VMWARE_VMOTION_BEGIN, m->sequence, SEQUENCE_SIZE);
}

Migration *migration_free(Migration *m) {
        if (!m)
                return NULL;

        timeout_stop(&m->timeout);
        esxi_link_free(m->target);
        m->vm->migration = NULL;
        m->vm->simulation->n_migrating--;
        free(m);
        return NULL;
}

static void migration_end(Migration *m, uint64_t *counter) {
        VM *vm = m->vm;

        (*counter)++;
        migration_free(m);
        vm_migration_ended(vm);
}

static void migration_fail(Migration *m, int error, const char *what) {
        Simulation *s = m->vm->simulation;
        char name[ESXI_NAME_MAX];

        if (!s->ending)
                simulation_complain(s, error, "%s: vMotion failed: %s: %s.", vm_name(m->vm, name), what,
                                    error == 0 ? "closed by the concentrator" : strerror(abs(error)));
        migration_end(m, &s->report.vmotions_failed);
}

static void migration_abort(Migration *m) {
        VM *vm = m->vm;
        size_t n = m->names_sequence ? SEQUENCE_SIZE : 0;

        if (esxi_link_put(vm->link, VMWARE_VMOTION_ABORT, m->sequence, n) < 0) {
                migration_fail(m, -ENOMEM, "cannot send ABORT");
                return;
        }

        esxi_link_flush(vm->link);
        migration_end(m, &vm->simulation->report.vmotions_aborted);
}

/* Continues when everything of the source has been passed to the kernel. */
static void migration_try_complete(Migration *m) {
        VM *vm = m->vm;

        if (!esxi_link_drained(vm->link))
                return;

        if (esxi_link_put(m->target, VMWARE_VMOTION_COMPLETE, m->sequence, SEQUENCE_SIZE) < 0) {
                migration_fail(m, -ENOMEM, "cannot send COMPLETE");
                return;
        }

        esxi_link_go_live(m->target);
        esxi_link_flush(m->target);
        vm_switch_link(vm, TAKE_PTR(m->target));
        migration_end(m, &vm->simulation->report.vmotions_completed);
}

static void on_goahead(Migration *m, const VMwareSuboption *s) {
        Simulation *sim = m->vm->simulation;

        samples_add(&sim->report.goahead, now_monotonic() - m->begun_usec);
        m->n_secret = s->size - SEQUENCE_SIZE;
        memcpy(m->secret, s->data + SEQUENCE_SIZE, m->n_secret);

        m->state = MIGRATION_OPENING;
        timeout_start(&sim->migration_limits, &m->timeout);

        int r = esxi_link_new(&sim->hosts, m->vm->host + 1, m->vm, &m->target);
        if (r < 0)
                migration_fail(m, r, "cannot connect the target");
}

static void on_peer_ok(Migration *m) {
        m->state = MIGRATION_ACCEPTED;
        timeout_stop(&m->timeout);

        if (m->aborts)
                migration_abort(m);
        else if (m->pauses)
                timeout_start(&m->vm->simulation->migration_pauses, &m->timeout);
        else
                migration_try_complete(m);
}

void migration_answer(VM *vm, EsxiLink *link, const VMwareSuboption *s) {
        Migration *m = vm->migration;
        char name[ESXI_NAME_MAX];
        bool ours = m && s->size >= SEQUENCE_SIZE && memcmp(s->data, m->sequence, SEQUENCE_SIZE) == 0;

        if (ours && m->state == MIGRATION_BEGUN && link == vm->link) {
                if (s->code == VMWARE_VMOTION_GOAHEAD && s->size > SEQUENCE_SIZE) {
                        on_goahead(m, s);
                        return;
                }
                if (s->code == VMWARE_VMOTION_NOTNOW) {
                        log_debug("%s: vMotion refused", vm_name(vm, name));
                        migration_end(m, &vm->simulation->report.vmotions_refused);
                        return;
                }
        } else if (ours && m->state == MIGRATION_OPENING && link == m->target &&
                   s->code == VMWARE_VMOTION_PEER_OK) {
                on_peer_ok(m);
                return;
        }

        /* An answer that comes too late is not a violation. */
        if (m)
                simulation_violation(vm->simulation, "%s: %s does not answer anything.", vm_name(vm, name),
                                     vmware_code_name(s->code));
}

int migration_introduce(Migration *m) {
        uint8_t text[SEQUENCE_SIZE + TELNET_SUBNEGOTIATION_MAX];

        memcpy(text, m->sequence, SEQUENCE_SIZE);
        memcpy(text + SEQUENCE_SIZE, m->secret, m->n_secret);
        return esxi_link_put(m->target, VMWARE_VMOTION_PEER, text, SEQUENCE_SIZE + m->n_secret);
}

bool migration_holds_output(const Migration *m) {
        return m->state == MIGRATION_ACCEPTED;
}

bool migration_permits_input(const Migration *m, const EsxiLink *link) {
        return m->state == MIGRATION_BEGUN && link == m->vm->link;
}

void migration_source_writable(Migration *m) {
        /* Not while it pauses. */
        if (m->state == MIGRATION_ACCEPTED && !m->timeout.queue)
                migration_try_complete(m);
}

bool migration_survives(Migration *m, EsxiLink *link, int error) {
        if (link == m->target) {
                migration_fail(m, error, "the target's connection was lost");
                return true;
        }

        /* The target has become the VM's connection. */
        if (m->state == MIGRATION_ACCEPTED) {
                migration_try_complete(m);
                return true;
        }

        migration_fail(m, error, "the source's connection was lost");
        return false;
}

void migration_limit_elapsed(Timeout *t) {
        Migration *m = container_of(t, Migration, timeout);

        migration_fail(m, -ETIMEDOUT,
                       m->state == MIGRATION_BEGUN ? "no answer to BEGIN" : "no answer to PEER");
}

void migration_pause_elapsed(Timeout *t) {
        migration_try_complete(container_of(t, Migration, timeout));
}
