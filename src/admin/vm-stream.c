/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "property.h"
#include "vm-stream.h"

/* The maximum of bytes in an event, with a VM and a client */
#define EVENT_MAX (256U * 1024U)

/* The number of VMs that are compared before other connections have their turn */
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
        return c->state != VARLINK_CLOSED && c->stream.out.size < VARLINK_OUT_HIGH;
}

/* Sends some VMs. The reply with the last VM ends the list. Where that is unknown when the reply is sent (with a designation, or
 * if the VMs after it may not be listed or are removed), an empty reply ends the list. Returns: whether there is more to send. */
static bool list_continue(VarlinkConnection *c) {
        Designation designation;

        if (c->designation)
                designation_parse(&designation, c->designation);

        for (unsigned n = 0; c->position && n < LIST_STEPS_MAX && has_room(c); n++) {
                Console *console = take_position(c);
                if ((c->designation && designation_fit(&designation, console) != c->fit) ||
                    !varlink_permits(c, console, ACT_LIST))
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

static void monitor_begin_state(VarlinkConnection *c) {
        c->position = concentrator_consoles(c->server->concentrator);
        c->n_told = 0;
}

/* The header of an event: the sections that name the VM with its previous name and with its present one. If a VM has been renamed
 * and the caller may list it with only one of these names, the caller is told that it was added or removed. */
typedef struct EventAudience {
        RightsSet before, now;
        enum {
                AUDIENCE_KNOWS, /* could list it before and still can */
                AUDIENCE_LOSES,
                AUDIENCE_GAINS,
        } kind;
        bool activity; /* only for callers that want the events of VmActivity */
} EventAudience;

static bool may_be_told(VarlinkConnection *c, const Event *e) {
        const Rights *r = concentrator_rights(c->server->concentrator);
        const Identity *who = &c->peer.identity;
        EventAudience a;

        memcpy(&a, e->text, sizeof a);
        if (a.activity && !c->wants_activity)
                return false;
        if (c->sees_all)
                return a.kind == AUDIENCE_KNOWS;
        if (c->asker.generation != r->generation)
                c->asker = (Asker){rights_of_who(r, who), r->generation};

        Right needed = rights_act_needs(ACT_LIST);
        bool before = rights_decide(r, who, &c->asker.sections, &a.before) >= needed,
             now = rights_decide(r, who, &c->asker.sections, &a.now) >= needed;

        return before == (a.kind != AUDIENCE_GAINS) && now == (a.kind != AUDIENCE_LOSES);
}

/* Sends the next event, unless the caller will still get the VM as part of the present state, or may not list it. */
static void monitor_take_event(VarlinkConnection *c) {
        const Event *e = c->events.next;

        if (e->subject < c->n_told && may_be_told(c, e) &&
            buffer_append(&c->stream.out, e->text + sizeof(EventAudience), e->size - sizeof(EventAudience)) < 0) {
                log_warning("No memory for the events that %s monitors, closing the connection", c->peer.text);
                varlink_close(c);
                return;
        }

        event_reader_advance(&c->events);
}

/* Sends the next VM of the present state, or "ready" after the last one. */
static void monitor_tell_state(VarlinkConnection *c) {
        if (!c->position) {
                c->n_told = UINT64_MAX;
                reply_event(c, "ready", NULL);
                return;
        }

        Console *console = take_position(c);

        c->n_told = console->record.number + 1;
        if (varlink_permits(c, console, ACT_LIST))
                reply_event(c, "present", console);
}

static void monitor_skip(VarlinkConnection *c) {
        VarlinkServer *s = c->server;

        if (!TAKE(c->told_anew, false) && log_rate_limit_pass(&s->skips, concentrator_now(s->concentrator)) > 0)
                log_info("%s reads events too slowly and misses some, it is told the present state again", c->peer.text);
        event_reader_catch_up(&c->events);
        reply_event(c, "skipped", NULL);
        monitor_begin_state(c);
}

/* Returns: whether there is more to send. */
static bool monitor_continue(VarlinkConnection *c) {
        for (unsigned n = 0; n < LIST_STEPS_MAX && has_room(c); n++)
                if (c->events.next)
                        monitor_take_event(c);
                else if (c->events.behind)
                        monitor_skip(c);
                else if (c->n_told < UINT64_MAX)
                        monitor_tell_state(c);
                else
                        return false;

        return true;
}

bool vm_stream_monitor(VarlinkConnection *c, bool activity) {
        c->wants_activity = activity;
        monitor_begin_state(c);
        if (!varlink_watch(c, monitor_continue))
                return false;

        int r = activity ? vm_activity_begin(&c->server->stream->activity) : 0;
        if (r < 0)
                log_warning_errno(r, "Cannot tell %s of activity: %m", c->peer.text);

        return true;
}

/* Queues an event for all callers. */
static void tell_event(VmStream *s, const EventAudience *audience, const char *event, const Console *console,
                       const Client *client) {
        JsonWriter w = JSON_WRITER_INIT(&s->event);

        w.error = buffer_append(&s->event, audience, sizeof *audience);
        json_writer_begin_object(&w, NULL);
        json_writer_begin_object(&w, "parameters");
        write_event(&w, event, console, client);
        json_writer_end_object(&w);
        json_writer_put_boolean(&w, "continues", true);
        json_writer_end_object(&w);

        if (w.error < 0 || buffer_append(&s->event, "", 1) < 0)
                event_queue_skip(&s->server->events);
        else
                event_queue_add(&s->server->events, console->record.number, buffer_data(&s->event), s->event.size);

        buffer_clear(&s->event);
}

/* Also queues events for callers that may list the VM with only one of the two names: to them it is removed or added. */
static void tell_renamed(VmStream *s, Console *console) {
        const Rights *r = concentrator_rights(s->server->concentrator);
        EventAudience audience = {.now = *console_rights(console)};
        char *name = console->name;

        audience.before = audience.now;
        if (rights_exist(r) && console->former_name)
                audience.before = rights_of_vm(r, console->former_name, console->uuid_text);
        tell_event(s, &audience, event_names[CONSOLE_RENAMED], console, NULL);
        if (memcmp(&audience.before, &audience.now, sizeof audience.now) == 0)
                return;

        audience.kind = AUDIENCE_GAINS;
        tell_event(s, &audience, event_names[CONSOLE_ADDED], console, NULL);

        audience.kind = AUDIENCE_LOSES;
        console->name = console->former_name;
        tell_event(s, &audience, event_names[CONSOLE_REMOVED], console, NULL);
        console->name = name;
}

static void tell(VmStream *s, ConsoleEvent event, Console *console, const Client *client) {
        const RightsSet *now = console_rights(console);

        if (event == CONSOLE_RENAMED)
                tell_renamed(s, console);
        else
                tell_event(s, &(EventAudience){.before = *now, .now = *now}, event_names[event], console, client);
}

static bool activity_is_wanted(const VmActivity *a) {
        const VmStream *s = container_of(a, VmStream, activity);
        const VarlinkConnection *c;

        DL_FOREACH(s->server->connections[VARLINK_WATCHING], c)
                if (c->wants_activity)
                        return true;

        return false;
}

/* Readers that are slow must not miss other events because of these. */
static bool activity_has_room(const VmActivity *a) {
        return container_of(a, VmStream, activity)->server->events.size <= EVENT_QUEUE_MAX / 4;
}

static void tell_activity(VmActivity *a, Console *console) {
        VmStream *s = container_of(a, VmStream, activity);
        const RightsSet *now = console_rights(console);

        if (event_queue_is_read(&s->server->events))
                tell_event(s, &(EventAudience){.before = *now, .now = *now, .activity = true}, "activity", console, NULL);
}

static void leave_console(VarlinkServer *server, const Console *console) {
        static const VarlinkState states[] = {VARLINK_REPLYING, VARLINK_WATCHING};
        VarlinkConnection *c;

        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                DL_FOREACH(server->connections[states[i]], c)
                        if (c->position == console)
                                c->position = console->handle.next;
}

/* Callers that have not got the whole present state yet get a new VM as part of that state, and not as an event, even if they
 * were at the end of the list already. */
static void visit_console(VarlinkServer *server, Console *console) {
        VarlinkConnection *c;

        DL_FOREACH(server->connections[VARLINK_WATCHING], c)
                if (console->record.number >= c->n_told && (!c->position || console->record.number < c->position->record.number))
                        c->position = console;
}

static void on_console_event(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                             const Client *client) {
        VmStream *s = container_of(observer, VmStream, observer);

        if (event_queue_is_read(&s->server->events))
                tell(s, event, console, client);

        if (event == CONSOLE_REMOVED) {
                leave_console(s->server, console);
                vm_activity_forget(&s->activity, console);
        } else if (event == CONSOLE_ADDED)
                visit_console(s->server, console);
}

void vm_stream_init(VmStream *s, VarlinkServer *server) {
        *s = (VmStream){.server = server, .event = BUFFER_INIT(EVENT_MAX)};

        s->activity = (VmActivity){
                .concentrator = server->concentrator,
                .is_wanted = activity_is_wanted,
                .has_room = activity_has_room,
                .tell = tell_activity,
        };
        server->stream = s;
        s->observer.notify = on_console_event;
        concentrator_observe(server->concentrator, &s->observer);
}

void vm_stream_done(VmStream *s) {
        concentrator_unobserve(s->server->concentrator, &s->observer);
        vm_activity_done(&s->activity);
        buffer_clear(&s->event);
}
