/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "vm-json.h"
#include "vm-stream.h"

/* Bytes of an event: its VM and a client, with all that can be in them */
#define EVENT_MAX (256U * 1024U)

/* VMs looked at before others have their turn */
#define LIST_STEPS_MAX 1024U

static const char *const event_names[] = {
        [CONSOLE_ADDED] = "added",
        [CONSOLE_CONNECTED] = "connected",
        [CONSOLE_DISCONNECTED] = "disconnected",
        [CONSOLE_RENAMED] = "renamed",
        [CONSOLE_CHANGED] = "changed",
        [CONSOLE_REMOVED] = "removed",
        [CONSOLE_CLIENT_ATTACHED] = "client_attached",
        [CONSOLE_CLIENT_DETACHED] = "client_detached",
        [CONSOLE_VMOTION_BEGUN] = "vmotion_begin",
        [CONSOLE_VMOTION_COMPLETE] = "vmotion_complete",
        [CONSOLE_VMOTION_ABORTED] = "vmotion_abort",
};

static Console *take_position(VarlinkConnection *c) {
        Console *console = c->position;

        c->position = console->handle.next;
        return console;
}

static bool has_room(const VarlinkConnection *c) {
        return c->state == VARLINK_REPLYING && c->stream.out.size < VARLINK_OUT_HIGH;
}

/* Returns: whether the answer goes on. Of all VMs it is known which is the last, unless that goes meanwhile; of those
 * that fit a designation it is not: an empty reply says then that there are no more. */
static bool list_continue(VarlinkConnection *c) {
        Designation designation;

        if (c->designation)
                designation_parse(&designation, c->designation);

        for (unsigned n = 0; c->position && n < LIST_STEPS_MAX && has_room(c); n++) {
                const Console *console = take_position(c);
                if (c->designation && designation_fit(&designation, console) != c->fit)
                        continue;

                bool last = !c->position && !c->designation;
                JsonWriter w = varlink_reply_begin(c);
                vm_json_write(&w, "vm", console);
                varlink_reply_end(c, &w, last ? VARLINK_LAST : VARLINK_CONTINUES);
                if (last)
                        return false;
        }

        if (c->position || c->state != VARLINK_REPLYING)
                return c->position;

        varlink_reply(c);
        return false;
}

void vm_stream_list(VarlinkConnection *c, const char *designation, Fit fit) {
        char *copy = designation ? strdup(designation) : NULL;

        if (designation && !copy) {
                varlink_close(c);
                return;
        }

        free(c->designation);
        c->designation = copy;
        c->fit = fit;
        c->position = concentrator_consoles(c->server->concentrator);
        varlink_continue(c, list_continue);
}

static void write_event(JsonWriter *w, const char *event, const Console *console, const Client *client) {
        json_writer_put_string(w, "event", event);
        if (console)
                vm_json_write(w, "vm", console);
        if (client)
                client_json_write(w, "client", client);
}

static void reply_event(VarlinkConnection *c, const char *event, const Console *console) {
        JsonWriter w = varlink_reply_begin(c);

        write_event(&w, event, console, NULL);
        varlink_reply_end(c, &w, VARLINK_CONTINUES);
}

static bool monitor_continue(VarlinkConnection *c) {
        while (c->position && has_room(c))
                reply_event(c, "present", take_position(c));

        if (c->position || c->state != VARLINK_REPLYING)
                return c->position;

        varlink_watch(c);
        reply_event(c, "ready", NULL);
        return false;
}

void vm_stream_monitor(VarlinkConnection *c) {
        c->position = concentrator_consoles(c->server->concentrator);
        varlink_continue(c, monitor_continue);
}

static void give_up(VarlinkConnection *c) {
        log_notice("%s reads events too slowly and is disconnected: %zu bytes are waiting", c->peer.text,
                   c->stream.out.size);
        varlink_close(c);
}

static void tell(VmStream *s, VarlinkConnection *c) {
        if (buffer_append(&c->stream.out, buffer_data(&s->event), s->event.size) >= 0)
                varlink_queued(c);
        else
                give_up(c);
}

/* A reader of events is in one of these states. */
static const VarlinkState reader_states[] = {VARLINK_REPLYING, VARLINK_WATCHING};

/* Those who have been told that it is there: consoles are gone through by their numbers. */
static bool is_told(const VarlinkConnection *c, const Console *console) {
        return c->events && (!c->position || console->record.number < c->position->record.number);
}

static bool anybody_is_told(const VarlinkServer *server, const Console *console) {
        const VarlinkConnection *c;

        if (server->connections[VARLINK_WATCHING])
                return true;

        DL_FOREACH(server->connections[VARLINK_REPLYING], c)
                if (is_told(c, console))
                        return true;

        return false;
}

static void tell_event(VmStream *s, ConsoleEvent event, const Console *console, const Client *client) {
        VarlinkConnection *c, *next;

        /* Written once, whoever gets it. */
        JsonWriter w = JSON_WRITER_INIT(&s->event);
        json_writer_begin_object(&w, NULL);
        json_writer_begin_object(&w, "parameters");
        write_event(&w, event_names[event], console, client);
        json_writer_end_object(&w);
        json_writer_put_boolean(&w, "continues", true);
        json_writer_end_object(&w);

        if (w.error < 0 || buffer_append(&s->event, "", 1) < 0)
                log_error("Cannot tell of VM %s: no memory", console->name);
        else
                for (size_t i = 0; i < ELEMENTSOF(reader_states); i++)
                        DL_FOREACH_SAFE(s->server->connections[reader_states[i]], c, next)
                                if (is_told(c, console))
                                        tell(s, c);

        buffer_clear(&s->event);
}

static void on_console_event(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                             const Client *client) {
        VmStream *s = container_of(observer, VmStream, observer);
        VarlinkConnection *c;

        if (anybody_is_told(s->server, console))
                tell_event(s, event, console, client);

        if (event == CONSOLE_REMOVED)
                DL_FOREACH(s->server->connections[VARLINK_REPLYING], c)
                        if (c->position == console)
                                c->position = console->handle.next;
}

void vm_stream_init(VmStream *s, VarlinkServer *server) {
        *s = (VmStream){.server = server, .event = BUFFER_INIT(EVENT_MAX)};

        s->observer.notify = on_console_event;
        concentrator_observe(server->concentrator, &s->observer);
}

void vm_stream_done(VmStream *s) {
        concentrator_unobserve(s->server->concentrator, &s->observer);
        buffer_clear(&s->event);
}
