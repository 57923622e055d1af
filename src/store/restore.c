/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>

#include "basic/text.h"
#include "console/console.h"
#include "restore.h"

/* The maximum of invalid mappings that are logged; further ones are only counted. */
#define PROBLEMS_LOGGED_MAX 100U
#define ID_SHOWN_MAX 128U

typedef struct Stored {
        const char *backend;
        Mapping **mappings;
        size_t n, allocated;
        size_t n_ignored, n_problems;
} Stored;

static void stored_done(Stored *s) {
        for (size_t i = 0; i < s->n; i++)
                free(s->mappings[i]);
        free(s->mappings);
}

static void log_problem(Stored *s, const Mapping *mapping, const char *problem) {
        const char *id = mapping->id ?: "?";
        _cleanup_free_ char *clean = text_sanitize(id, strnlen(id, ID_SHOWN_MAX), ID_SHOWN_MAX);

        if (s->n_problems++ < PROBLEMS_LOGGED_MAX)
                log_warning("What Backend=%s has of VM %s is ignored: %s", s->backend, clean ?: "?", problem);
}

static int stored_add(const Mapping *mapping, void *userdata) {
        Stored *s = userdata;

        const char *problem = mapping_problem(mapping);
        if (problem) {
                log_problem(s, mapping, problem);
                return 0;
        }

        if (s->n >= RESTORE_MAX) {
                s->n_ignored++;
                return 0;
        }

        if (s->n == s->allocated) {
                size_t allocated = MAX(2 * s->allocated, (size_t) 256);
                Mapping **grown = reallocarray(s->mappings, allocated, sizeof(Mapping *));
                if (!grown)
                        return -ENOMEM;

                s->mappings = grown;
                s->allocated = allocated;
        }

        Mapping *copy = mapping_dup(mapping);
        if (!copy)
                return -ENOMEM;

        s->mappings[s->n++] = copy;
        return 0;
}

static int compare(uint64_t a, uint64_t b) {
        return (a > b) - (a < b);
}

/* VMs that were connected, for which the expiry begins now, come last */
static int compare_longest_gone_first(const void *a, const void *b) {
        const Mapping *x = *(Mapping *const *) a, *y = *(Mapping *const *) b;

        return compare(x->gone_since - 1, y->gone_since - 1) ?: compare(x->stored, y->stored) ?: strcmp(x->id, y->id);
}

/* Makes sure that no two mappings have the same port: the one stored later keeps it, or of two stored at the same
 * time the one loaded later. */
static int resolve_claims(Stored *s) {
        Mapping **holders = calloc(UINT16_MAX + 1, sizeof(Mapping *));
        if (!holders)
                return -ENOMEM;

        for (size_t i = 0; i < s->n; i++) {
                Mapping *winner = s->mappings[i], *loser = holders[winner->port];

                if (winner->port == 0)
                        continue;
                if (loser && loser->stored > winner->stored) {
                        loser = winner;
                        winner = holders[winner->port];
                }

                holders[winner->port] = winner;
                if (!loser)
                        continue;

                log_warning("VM %s (%s) gets another port: port %u now belongs to VM %s (%s)", loser->name,
                            loser->id, loser->port, winner->name, winner->id);
                loser->port = 0;
        }

        free(holders);
        return 0;
}

/* Reserve all stored ports first, so that a VM that lost its port cannot take the port of a VM that is restored
 * later. */
static void reserve_ports(Concentrator *c, const Stored *s) {
        for (size_t i = 0; i < s->n; i++)
                (void) port_pool_claim(concentrator_ports(c), s->mappings[i]->port);
}

/* Makes the table of descriptors large enough at once. The kernel doubles it whenever it is full, and a process
 * with threads then waits until each processor has passed through the kernel: ten milliseconds or more, nine times
 * for 16,000 ports. */
static void grow_descriptor_table(const Concentrator *c, size_t n) {
        size_t size = MIN(n + CONCENTRATOR_DESCRIPTORS_RESERVED, (size_t) concentrator_descriptor_limit(c));

        (void) safe_close(fcntl(sd_event_get_fd(concentrator_event(c)), F_DUPFD_CLOEXEC, (int) size - 1));
}

/* The name of the VM itself: with MultiConsole=, "_URI" is appended to the name of a console. */
static char *vm_name(const Concentrator *c, const Mapping *m) {
        size_t name = strlen(m->name), uri = strlen(m->uri);
        bool has_uri = concentrator_settings(c)->multi_console && name > uri + 1 && m->name[name - uri - 1] == '_' &&
                       streq(m->name + name - uri, m->uri);

        return strndup(m->name, has_uri ? name - uri - 1 : name);
}

static int restore_one(Concentrator *c, const Mapping *m, Console **ret) {
        usec_t now = concentrator_now_realtime(c);
        _cleanup_free_ char *name = vm_name(c, m);
        if (!name)
                return -ENOMEM;

        int r = console_new(c, m->id, m->uuid, name, m->uri, m->port, ret);
        if (r < 0)
                return r;

        /* The clock may be behind, for example until it is set after a boot. A VM that was connected must not expire as
         * soon as the clock is set: it was connected at least until it was stored. */
        usec_t since = m->gone_since > 0 ? m->gone_since : MAX(now, m->stored);
        if (m->gone_since == 0 && m->stored > 0) /* at least until then */
                (*ret)->record.connected_for = now - MIN(m->stored, now);
        console_set_gone(*ret, MIN(since, (usec_t) INT64_MAX));
        console_open_port(*ret);
        console_announce(*ret);
        return 0;
}

int restore(Concentrator *c, const VspcBackend *backend, void *state, RestoreHandler handler, void *userdata) {
        _cleanup_(stored_done) Stored stored = {.backend = backend->name};
        Console *console;

        int r = backend->load(state, stored_add, &stored);
        if (r < 0)
                return r;

        if (stored.n_problems > PROBLEMS_LOGGED_MAX)
                log_warning("Backend=%s has %zu more that are ignored", backend->name,
                            stored.n_problems - PROBLEMS_LOGGED_MAX);
        if (stored.n == 0)
                return 0;

        if (stored.n_ignored > 0)
                log_warning("Backend=%s has %zu VMs more than the %u that are restored", backend->name,
                            stored.n_ignored, RESTORE_MAX);

        r = resolve_claims(&stored);
        if (r < 0)
                return r;

        if (concentrator_settings(c)->vm_ports)
                grow_descriptor_table(c, stored.n);
        reserve_ports(c, &stored);
        qsort(stored.mappings, stored.n, sizeof(Mapping *), compare_longest_gone_first);

        for (size_t i = 0; i < stored.n; i++) {
                const Mapping *m = stored.mappings[i];

                port_pool_release(concentrator_ports(c), m->port);
                if (concentrator_find(c, m->id)) /* stored twice */
                        continue;

                r = restore_one(c, m, &console);
                if (r < 0)
                        break;
                handler(console, m, userdata);
        }

        if (r < 0)
                return r;

        log_info("%zu %s restored", stored.n, stored.n == 1 ? "VM" : "VMs");
        return 0;
}
