/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "human.h"
#include "show.h"

static void key(FILE *f, const char *name) {
        fprintf(f, "%9s: ", name);
}

static void text_line(FILE *f, const char *name, const char *text) {
        key(f, name);
        print_text(f, text);
        fputc('\n', f);
}

static void size_line(FILE *f, const char *name, const json_t *vm, const char *field) {
        char size[HUMAN_TEXT_MAX];
        uint64_t n;

        if (!json_get_number(vm, field, &n))
                return;

        key(f, name);
        fputs(human_size(n, size), f);
        if (n >= 1024)
                fprintf(f, " (%" PRIu64 " bytes)", n);
        fputc('\n', f);
}

static void state_line(FILE *f, const json_t *vm, usec_t now) {
        char moment[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        uint64_t since;
        Style style;

        key(f, "State");
        fputs(vm_state(vm, &style), f);
        if (json_get_number(vm, "since", &since))
                fprintf(f, ", since %s; %s", human_timestamp(since, moment),
                        human_distance(since, now, distance));
        fputc('\n', f);
}

static void expires_line(FILE *f, const json_t *vm, usec_t now) {
        char moment[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        uint64_t expires;

        if (!json_get_number(vm, "expires", &expires))
                return;

        key(f, "Expires");
        fprintf(f, "%s; %s\n", human_timestamp(expires, moment), human_distance(expires, now, distance));
}

/* Of the connection from the VM's host */
static void tls_line(FILE *f, const json_t *vm) {
        const json_t *tls = json_object_get(vm, "tls");
        const char *peer = json_get_text(tls, "peer", NULL);

        if (!json_is_object(tls)) {
                text_line(f, "TLS", "no");
                return;
        }

        key(f, "TLS");
        print_text(f, json_get_text(tls, "version", "yes"));
        fputs(", ", f);
        print_text(f, json_get_text(tls, "cipher", "?"));
        if (peer) {
                fputs(", the host's certificate is that of ", f);
                print_text(f, peer);
        }
        if (json_is_true(json_object_get(tls, "resumed")))
                fputs(", resumed", f);
        fputc('\n', f);
}

static void client_line(FILE *f, const json_t *client, usec_t now, Users users) {
        char size[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        uint64_t n;

        fprintf(f, "%11s", "");
        print_client(f, client, users);
        fputs(", ", f);
        print_text(f, access_for_people(json_get_text(client, "access", "?")));

        if (json_get_number(client, "since", &n))
                fprintf(f, ", since %s", human_distance(n, now, distance));
        if (json_get_number(client, "bytes", &n))
                fprintf(f, ", %s sent", human_size(n, size));
        if (json_get_number(client, "skipped", &n) && n > 0)
                fprintf(f, ", %s missed", human_size(n, size));
        fputc('\n', f);
}

static void client_lines(FILE *f, const json_t *vm, usec_t now, Users users) {
        const json_t *clients = json_object_get(vm, "clients");
        size_t n_listed = json_array_size(clients);
        uint64_t n = n_listed;

        (void) json_get_number(vm, "clientCount", &n);
        key(f, "Clients");
        fprintf(f, "%" PRIu64 "\n", n);

        for (size_t i = 0; i < n_listed; i++)
                client_line(f, json_array_get(clients, i), now, users);
        if (n > n_listed)
                fprintf(f, "%11sand %" PRIu64 " more\n", "", n - n_listed);
}

void show_vm(FILE *f, const json_t *vm, Users users) {
        const char *serial = json_get_text(vm, "serial", NULL), *peer = json_get_text(vm, "peer", NULL),
                   *vmotion = json_get_text(vm, "vmotion", "none"), *problem = json_get_text(vm, "problem", NULL);
        const char *uuid = json_get_text(vm, "uuid", "?"), *id = json_get_text(vm, "id", uuid);
        usec_t now = now_realtime();
        uint64_t port;

        text_line(f, "Name", json_get_text(vm, "name", "?"));
        if (!streq(id, uuid))
                text_line(f, "ID", id);
        text_line(f, "UUID", uuid);
        text_line(f, "URI", json_get_text(vm, "uri", "?"));

        if (json_get_number(vm, "port", &port)) {
                key(f, "Port");
                fprintf(f, "%" PRIu64 "\n", port);
        } else if (json_get_number(vm, "reservedPort", &port)) {
                key(f, "Port");
                fprintf(f, "%" PRIu64 ", closed until vspcd has file descriptors to spare\n", port);
        } else
                text_line(f, "Port", "none");

        state_line(f, vm, now);
        if (problem)
                text_line(f, "Problem", problem);
        if (peer)
                text_line(f, "Host", peer);
        tls_line(f, vm);
        if (serial)
                text_line(f, "Serial", serial);
        if (!streq(vmotion, "none"))
                text_line(f, "vMotion", vmotion);

        size_line(f, "Received", vm, "bytesReceived");
        size_line(f, "Sent", vm, "bytesSent");
        client_lines(f, vm, now, users);
        expires_line(f, vm, now);
}
