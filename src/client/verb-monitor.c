/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "basic/text.h"
#include "message.h"
#include "verbs.h"

/* VMs that are remembered at most (as many as vspcd keeps), and bytes of each text */
#define VMS_MAX 65536U
#define FIELD_MAX 128U

/* Pauses between attempts to reconnect, doubled after each failure. An attempt whose connection ends before the
 * longest pause has passed counts as a failure. */
#define BACKOFF_MIN_USEC (100 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (2 * USEC_PER_SEC)

/* The fields that an event "changed" is shown for */
static const struct {
        const char *key, *title;
} fields[] = {
        {"port", "port"},
        {"serial", "serial port"},
        {"vmotion", "vMotion"},
        {"uri", "port URI"},
};

typedef struct Watching {
        size_t n_vms, n_connected; /* VMs in the present state */
        bool ready;                /* the present state has been received */
        json_t *vms;               /* by id: name and fields[] of each VM, as texts of the last event */
        Users users;
        bool begun; /* an event has come, perhaps on an earlier connection */
        char *told; /* the last reason for waiting that was shown */
} Watching;

/* To be called before the present state is received. */
static void begin_state(Watching *w) {
        json_object_clear(w->vms);
        w->n_vms = w->n_connected = 0;
        w->ready = false;
}

static json_t *field_text(const json_t *vm, const char *key) {
        const char *text = json_get_text(vm, key, NULL);
        char digits[sizeof("18446744073709551615")];
        uint64_t number;

        if (json_get_number(vm, key, &number)) {
                snprintf(digits, sizeof digits, "%" PRIu64, number);
                text = digits;
        }

        _cleanup_free_ char *clean = text ? text_sanitize(text, strlen(text), FIELD_MAX) : NULL;
        return json_string(clean ?: "none");
}

/* Returns: a new object, or NULL. */
static json_t *summarize(const json_t *vm) {
        json_t *summary = json_object();

        (void) json_object_set_new(summary, "name", field_text(vm, "name"));
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                (void) json_object_set_new(summary, fields[i].key, field_text(vm, fields[i].key));

        return summary;
}

/* If memory is short, or there are too many VMs, "changed" is shown without details. */
static void remember(Watching *w, const char *event, const json_t *vm) {
        const char *id = json_get_text(vm, "id", "");

        if (streq(event, "removed"))
                (void) json_object_del(w->vms, id);
        else if (*id && strlen(id) <= FIELD_MAX &&
                 (json_object_get(w->vms, id) || json_object_size(w->vms) < VMS_MAX))
                (void) json_object_set_new(w->vms, id, summarize(vm));
}

/* @before: the VM's remembered fields, or NULL */
static void print_changes(const json_t *before, const json_t *vm) {
        _cleanup_json_ json_t *now = summarize(vm);
        unsigned n = 0;

        for (size_t i = 0; before && i < ELEMENTSOF(fields); i++) {
                const char *text = json_get_text(now, fields[i].key, "?");

                if (!streq(text, json_get_text(before, fields[i].key, "?")))
                        printf("%s%s is now %s", n++ > 0 ? ", " : "", fields[i].title, text);
        }

        if (n == 0)
                fputs("changed", stdout);
}

static void print_renamed(const json_t *before, const json_t *vm) {
        print_text(stdout, "renamed%s%s (%s)", before ? ", was " : "",
                   before ? json_get_text(before, "name", "?") : "", json_get_text(vm, "id", "?"));
}

/* "web01: connected from 192.0.2.7:4711" */
static void print_vm_event(const VarlinkReply *reply, const char *event, const Watching *w) {
        const json_t *vm = json_object_get(reply->parameters, "vm"),
                     *client = json_object_get(reply->parameters, "client"),
                     *before = json_object_get(w->vms, json_get_text(vm, "id", ""));
        char access[HUMAN_TEXT_MAX];

        if (vm)
                print_text(stdout, "%s: ", json_get_text(vm, "name", "?"));

        if (streq(event, "connected"))
                print_text(stdout, "connected from %s", json_get_text(vm, "peer", "somewhere"));
        else if (streq(event, "renamed"))
                print_renamed(before, vm);
        else if (streq(event, "changed"))
                print_changes(before, vm);
        else if (streq(event, "vmotion_begin"))
                fputs("vMotion begins", stdout);
        else if (streq(event, "vmotion_complete"))
                print_text(stdout, "vMotion complete, now at %s", json_get_text(vm, "peer", "another host"));
        else if (streq(event, "vmotion_abort"))
                fputs("vMotion aborted", stdout);
        else if (streq(event, "client_attached")) {
                fputs("client ", stdout);
                print_client(stdout, client, w->users);
                print_text(stdout, " attached, %s", human_access(json_get_text(client, "access", "?"), access));
        } else if (streq(event, "client_detached")) {
                fputs("client ", stdout);
                print_client(stdout, client, w->users);
                fputs(" detached", stdout);
        } else /* added, removed, disconnected, and events of later versions */
                print_text(stdout, "%s", event);
}

static void print_event(const VarlinkReply *reply, Watching *w) {
        const char *event = json_get_text(reply->parameters, "event", "?");
        const json_t *vm = json_object_get(reply->parameters, "vm");
        char moment[HUMAN_TEXT_MAX];
        usec_t now = now_realtime();
        bool is_present = streq(event, "present"), is_ready = streq(event, "ready"), is_skipped = streq(event, "skipped");

        /* vspcd sends the present state again */
        if (is_skipped || (w->ready && (is_present || is_ready)))
                begin_state(w);

        /* VMs of the present state are counted, not shown */
        if (is_present) {
                w->n_vms++;
                w->n_connected += json_is_true(json_object_get(vm, "connected"));
                remember(w, event, vm);
                return;
        }

        /* With the date: it may run for days. */
        printf("%s ", human_moment(now, 0, moment));
        if (is_ready) {
                printf("Watching %zu VM%s, %zu connected.", w->n_vms, w->n_vms == 1 ? "" : "s", w->n_connected);
                w->ready = true;
        } else if (is_skipped)
                fputs("Some events were skipped because they were read too slowly.", stdout);
        else {
                print_vm_event(reply, event, w);
                remember(w, event, vm);
        }
        putchar('\n');
}

/* Prints events until the connection ends. Returns: 0 if vspcd has ended the replies, or a negative errno. */
static int watch(Connection *c, const Arguments *a, Watching *w) {
        bool more = true;

        begin_state(w);

        json_t *parameters = a->activity ? json_pack("{s:b}", "activity", 1) : NULL;
        int r = !a->activity || parameters ? connection_call(c, "Monitor", parameters, VARLINK_MORE) : -ENOMEM;
        while (r >= 0 && more) {
                _cleanup_reply_ VarlinkReply reply = {};

                r = connection_receive(c, USEC_INFINITY, &reply);
                if (r < 0)
                        break;

                w->begun = true;
                free(TAKE_PTR(w->told));
                w->users = connection_users(c);
                if (a->json == JSON_OFF)
                        print_event(&reply, w);
                else
                        r = verb_print_json(reply.parameters, a->json);

                fflush(stdout);
                more = reply.continues;
        }

        return r;
}

/* Shows the reason for waiting, once for each reason. */
static void tell_waiting(Watching *w, const Connection *c, int error) {
        _cleanup_free_ char *why = connection_explain(c, error);

        if (why && w->told && streq(why, w->told))
                return;

        _cleanup_free_ char *text = text_format("%s\nWaiting until vspcd can be reached again.", why ?: "Out of memory");
        message_lines(text);
        free(w->told);
        w->told = TAKE_PTR(why);
}

int verb_monitor(const Arguments *a) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);
        _cleanup_json_ json_t *vms = json_object();
        Watching w = {.vms = vms};
        usec_t backoff = BACKOFF_MIN_USEC;

        for (;;) {
                usec_t began = now_monotonic();

                int r = watch(&c, a, &w);

                /* After a refusal, or if the other side does not use Varlink, reconnecting would not help. */
                if (r >= 0 || !w.begun || c.state != CONNECTION_CLOSED || r != c.error) {
                        free(w.told);
                        return r < 0 ? verb_failed(&c, r, NULL) : 0;
                }

                if (now_monotonic() - began > BACKOFF_MAX_USEC)
                        backoff = BACKOFF_MIN_USEC;

                tell_waiting(&w, &c, r);
                usleep((useconds_t) backoff);
                backoff = MIN(backoff * 2, BACKOFF_MAX_USEC);
        }
}
