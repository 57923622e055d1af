/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs about clients: clients, say, disconnect. */

#include <inttypes.h>
#include <libsmartcols.h>

#include "basic/parse.h"
#include "basic/text.h"
#include "inventory.h"
#include "message.h"
#include "pager.h"
#include "verbs.h"

/* The maximum length of a text in bytes */
#define CELL_MAX 512U

typedef enum Column {
        COLUMN_VM,
        COLUMN_ID,
        COLUMN_CLIENT,
        COLUMN_ACCESS,
        COLUMN_SINCE,
        COLUMN_TYPED,
        _COLUMN_MAX,
} Column;

static const char *const titles[_COLUMN_MAX] = {
        [COLUMN_VM] = "VM",
        [COLUMN_ID] = "ID",
        [COLUMN_CLIENT] = "CLIENT",
        [COLUMN_ACCESS] = "ACCESS",
        [COLUMN_SINCE] = "SINCE",
        [COLUMN_TYPED] = "TYPED",
};

static void scols_unref_tablep(struct libscols_table **t) {
        scols_unref_table(*t);
}

static int set_text(struct libscols_line *line, Column column, const char *text) {
        char *clean = text_sanitize(text, strlen(text), CELL_MAX);

        return clean ? scols_line_refer_data(line, column, clean) : -ENOMEM;
}

/* "3min ago", or "-" if there is no such time */
static int set_time(struct libscols_line *line, Column column, const json_t *client, const char *key) {
        char text[HUMAN_TEXT_MAX] = "-";
        usec_t at;

        if (json_get_number(client, key, &at))
                human_distance(at, now_realtime(), text);

        return set_text(line, column, text);
}

/* "alice (pid 4711)" */
static int set_client(struct libscols_line *line, const json_t *client, Users users) {
        _cleanup_free_ char *text = NULL;
        size_t size;

        FILE *f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;

        print_client(f, client, users);
        return fclose(f) == 0 ? set_text(line, COLUMN_CLIENT, text) : -ENOMEM;
}

static int add_client(struct libscols_table *t, const json_t *vm, const json_t *client, Users users) {
        struct libscols_line *line = scols_table_new_line(t, NULL);
        char access[HUMAN_TEXT_MAX], id[sizeof("18446744073709551615")] = "-";
        uint64_t number;

        if (json_get_number(client, "id", &number))
                snprintf(id, sizeof id, "%" PRIu64, number);

        int r = line ? set_text(line, COLUMN_VM, json_get_text(vm, "name", "?")) : -ENOMEM;
        if (r >= 0)
                r = set_text(line, COLUMN_ID, id);
        if (r >= 0)
                r = set_client(line, client, users);
        if (r >= 0)
                r = set_text(line, COLUMN_ACCESS, human_access(json_get_text(client, "access", "?"), access));
        if (r >= 0)
                r = set_time(line, COLUMN_SINCE, client, "since");

        return r < 0 ? r : set_time(line, COLUMN_TYPED, client, "typed");
}

static int add_clients(struct libscols_table *t, const json_t *vms, Users users, uint64_t *ret_unlisted) {
        int r = 0;

        *ret_unlisted = 0;
        for (size_t i = 0; r >= 0 && i < json_array_size(vms); i++) {
                const json_t *vm = json_array_get(vms, i), *clients = json_object_get(vm, "clients");
                uint64_t n = 0, n_listed = json_array_size(clients);

                for (size_t k = 0; r >= 0 && k < n_listed; k++)
                        r = add_client(t, vm, json_array_get(clients, k), users);
                if (json_get_number(vm, "clientCount", &n) && n > n_listed)
                        *ret_unlisted += n - n_listed;
        }

        return r;
}

static int print_clients(const Arguments *a, const json_t *vms, Users users) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = scols_new_table();
        uint64_t n_unlisted = 0;

        if (!t || scols_table_enable_noheadings(t, a->no_legend) < 0)
                return -ENOMEM;

        (void) scols_table_enable_noencoding(t, 1); /* texts are sanitized */
        (void) scols_table_set_termforce(t, SCOLS_TERMFORCE_NEVER);
        for (size_t i = 0; i < _COLUMN_MAX; i++)
                if (!scols_table_new_column(t, titles[i], 0, i == COLUMN_ID ? SCOLS_FL_RIGHT : 0))
                        return -ENOMEM;

        int r = add_clients(t, vms, users, &n_unlisted);
        if (r < 0)
                return r;

        size_t n = scols_table_get_nlines(t);
        if (n > 0)
                r = scols_print_table(t);
        if (r >= 0 && !a->no_legend && n == 0)
                puts("No clients.");
        if (r >= 0 && n_unlisted > 0)
                printf("\n%" PRIu64 " more clients are not shown.\n", n_unlisted);

        return r;
}

/* [{"vm": "web01", "uuid": "5012…", "clients": […]}, …], only VMs that have clients */
static int print_json(const Arguments *a, const json_t *vms) {
        _cleanup_json_ json_t *result = json_array();

        for (size_t i = 0; result && i < json_array_size(vms); i++) {
                json_t *vm = json_array_get(vms, i), *clients = json_object_get(vm, "clients");

                if (json_array_size(clients) > 0 &&
                    json_array_append_new(result, json_pack("{s:O?, s:O?, s:O}", "vm", json_object_get(vm, "name"), "id",
                                                            json_object_get(vm, "id"), "clients", clients)) < 0)
                        return complain(ENOMEM, "Cannot show the clients: %m");
        }

        return result ? verb_print_json(result, a->json) : complain(ENOMEM, "Cannot show the clients: %m");
}

int verb_clients(const Arguments *a) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch_words(&c, a->words, a->n_words, &vms);
        if (r < 0)
                return verb_failed(&c, r, c.subject);

        pager_open(!a->no_pager);
        if (a->json != JSON_OFF)
                return print_json(a, vms);

        r = print_clients(a, vms, connection_users(&c));
        return r < 0 ? complain(r, "Cannot show the clients: %m") : 0;
}

int verb_disconnect(const Arguments *a) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);

        if (a->n_words < 2)
                return complain(EINVAL, "disconnect: a VM and the ID of a client are needed; \"vspc-client clients\" shows them.");

        for (size_t i = 1; i < a->n_words; i++) {
                _cleanup_reply_ VarlinkReply reply = {};
                uint64_t id;

                if (parse_unsigned(a->words[i], INT64_MAX, &id) < 0)
                        return complain(EINVAL, "disconnect: \"%s\" is not the ID of a client; \"vspc-client clients\" shows them.",
                                        a->words[i]);

                int r = connection_ask(&c, "Disconnect",
                                       json_pack("{s:s, s:I}", "vm", a->words[0], "client", (json_int_t) id), &reply);
                if (r < 0)
                        return verb_failed(&c, r, a->words[0]);
                printf("Client %" PRIu64 " disconnected.\n", id);
        }

        return 0;
}

int verb_say(const Arguments *a) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_free_ char *text = NULL;
        uint64_t n = 0;
        size_t size;

        if (a->n_words < 2)
                return complain(EINVAL, "say: a VM and a text are needed.");

        FILE *f = open_memstream(&text, &size);
        if (!f)
                return complain(ENOMEM, "say: %m");
        for (size_t i = 1; i < a->n_words; i++)
                fprintf(f, "%s%s", i > 1 ? " " : "", a->words[i]);
        if (fclose(f) != 0)
                return complain(ENOMEM, "say: %m");

        int r = connection_ask(&c, "Say", json_pack("{s:s, s:s}", "vm", a->words[0], "text", text), &reply);
        if (r < 0)
                return verb_failed(&c, r, a->words[0]);

        (void) json_get_number(reply.parameters, "heard", &n);
        printf("%" PRIu64 " client%s told.\n", n, n == 1 ? "" : "s");
        return 0;
}
