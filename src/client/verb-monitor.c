/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "human.h"
#include "verbs.h"
#include "vm.h"

typedef struct Watching {
        size_t n_vms, n_connected; /* when it began */
        Users users;
} Watching;

/* "web01: " and what goes with each event */
static void print_vm_event(const VarlinkReply *reply, const char *event, Users users) {
        const json_t *vm = json_object_get(reply->parameters, "vm"),
                     *client = json_object_get(reply->parameters, "client");

        print_text(stdout, json_get_text(vm, "name", "?"));
        fputs(": ", stdout);

        if (streq(event, "connected")) {
                fputs("connected from ", stdout);
                print_text(stdout, json_get_text(vm, "peer", "somewhere"));
        } else if (streq(event, "renamed")) {
                fputs("this is its new name; its UUID is ", stdout);
                print_text(stdout, json_get_text(vm, "id", "?"));
        } else if (streq(event, "vmotion_begin"))
                fputs("vMotion begins", stdout);
        else if (streq(event, "vmotion_complete")) {
                fputs("vMotion complete, now at ", stdout);
                print_text(stdout, json_get_text(vm, "peer", "another host"));
        } else if (streq(event, "vmotion_abort"))
                fputs("vMotion aborted", stdout);
        else if (streq(event, "client_attached")) {
                fputs("client ", stdout);
                print_client(stdout, client, users);
                fputs(" attached, ", stdout);
                print_text(stdout, access_for_people(json_get_text(client, "access", "?")));
        } else if (streq(event, "client_detached")) {
                fputs("client ", stdout);
                print_client(stdout, client, users);
                fputs(" detached", stdout);
        } else /* added, removed, disconnected, and what a later version may tell */
                print_text(stdout, event);
}

static void print_event(const VarlinkReply *reply, Watching *w) {
        const char *event = json_get_text(reply->parameters, "event", "?");
        const json_t *vm = json_object_get(reply->parameters, "vm");
        char moment[HUMAN_TEXT_MAX];
        usec_t now = now_realtime();

        /* A line each for thousands of VMs in which nothing happens would help nobody. */
        if (streq(event, "present")) {
                w->n_vms++;
                w->n_connected += json_is_true(json_object_get(vm, "connected"));
                return;
        }

        /* With the date: it may run for days. */
        printf("%s ", human_moment(now, 0, moment));
        if (streq(event, "ready"))
                printf("Watching %zu VM%s, %zu connected.", w->n_vms, w->n_vms == 1 ? "" : "s",
                       w->n_connected);
        else
                print_vm_event(reply, event, w->users);
        putchar('\n');
}

/* Returns: 1 if more may come, 0 if vspcd has ended it, a negative errno. */
static int next_event(Connection *c, const Arguments *a, Watching *w) {
        _cleanup_reply_ VarlinkReply reply = {};

        int r = connection_receive(c, USEC_INFINITY, &reply);
        if (r < 0)
                return verb_failed(c, r);
        if (reply.error)
                return verb_refused(c, &reply, NULL);

        if (a->json == JSON_OFF)
                print_event(&reply, w);
        else {
                r = verb_print_json(reply.parameters, a->json);
                if (r < 0)
                        return r;
        }

        fflush(stdout);
        return reply.continues;
}

int verb_monitor(const Arguments *a) {
        _cleanup_(connection_freep) Connection *c = NULL;

        int r = verb_connect(a, &c);
        if (r < 0)
                return r;

        Watching w = {.users = connection_users(c)};

        r = connection_call(c, "Monitor", NULL, VARLINK_MORE);
        if (r < 0)
                return verb_failed(c, r);

        while ((r = next_event(c, a, &w)) > 0)
                ;

        return r;
}
