/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "human.h"
#include "inventory.h"
#include "message.h"
#include "table.h"
#include "verbs.h"
#include "vm.h"

static const Column columns[] = {
        {.title = "NAME", .least = 8, .cut_after = 60},
        {.title = "UUID", .least = 9, .cut_after = 100},
        {.title = "PORT", .right = true},
        {.title = "STATE"},
        {.title = "CLIENTS", .right = true},
        {.title = "SINCE"},
};

static int add_row(Table *t, const json_t *vm, usec_t now) {
        char port[32] = "-", clients[32] = "-", since[HUMAN_TEXT_MAX] = "-";
        uint64_t number;
        Style style;

        if (json_get_number(vm, "port", &number))
                snprintf(port, sizeof port, "%" PRIu64, number);
        if (json_get_number(vm, "clientCount", &number))
                snprintf(clients, sizeof clients, "%" PRIu64, number);
        if (json_get_number(vm, "since", &number))
                human_distance(number, now, since);

        const char *state = vm_state(vm, &style);

        return table_add(t, (Cell[]){
                                    {json_get_text(vm, "name", "?"), STYLE_NORMAL},
                                    {json_get_text(vm, "id", "?"), STYLE_NORMAL},
                                    {port, STYLE_NORMAL},
                                    {state, style},
                                    {clients, STYLE_NORMAL},
                                    {since, STYLE_NORMAL},
                            });
}

static size_t count_connected(const json_t *vms) {
        size_t n = 0;

        for (size_t i = 0; i < json_array_size(vms); i++)
                n += json_is_true(json_object_get(json_array_get(vms, i), "connected"));

        return n;
}

/* What is the matter, for those whose state says that something is */
static void print_problems(const json_t *vms) {
        for (size_t i = 0; i < json_array_size(vms); i++) {
                const json_t *vm = json_array_get(vms, i);
                const char *problem = json_get_text(vm, "problem", NULL);

                if (!problem)
                        continue;

                putchar('\n');
                print_text(stdout, json_get_text(vm, "name", "?"));
                fputs(": ", stdout);
                print_text(stdout, problem);
                fputs(".\n", stdout);
        }
}

static int print_table(const json_t *vms, const Arguments *a) {
        _cleanup_(table_freep) Table *t = NULL;
        size_t n = json_array_size(vms);
        usec_t now = now_realtime();

        if (n == 0) {
                if (!a->no_legend)
                        puts("No VMs.");
                return 0;
        }

        int r = table_new(columns, ELEMENTSOF(columns), &t);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = add_row(t, json_array_get(vms, i), now);
        if (r >= 0)
                r = table_print(t, stdout, table_terminal_width(),
                                a->no_legend ? TABLE_PLAIN : TABLE_HEADER);
        if (r < 0)
                return complain(r, "Cannot show the VMs: %m");

        if (!a->no_legend) {
                print_problems(vms);
                printf("\n%zu VM%s, %zu connected.\n", n, n == 1 ? "" : "s", count_connected(vms));
        }

        return 0;
}

int verb_list(const Arguments *a) {
        _cleanup_(connection_freep) Connection *c = NULL;
        _cleanup_reply_ VarlinkReply refusal = {};
        _cleanup_json_ json_t *vms = NULL;

        int r = verb_connect(a, &c);
        if (r < 0)
                return r;

        r = inventory_fetch(c, NULL, INVENTORY_MAX, &vms, &refusal);
        if (r < 0)
                return verb_failed(c, r);
        if (refusal.error)
                return verb_refused(c, &refusal, NULL);

        return a->json != JSON_OFF ? verb_print_json(vms, a->json) : print_table(vms, a);
}
