/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>
#include <utlist.h>

#include "basic/text.h"
#include "client.h"
#include "console-vmotion.h"
#include "console.h"
#include "identification.h"
#include "link.h"
#include "message.h"

/* Bytes of a VM's name and identity in a log message */
#define LOG_LABEL_MAX 128U

void console_log(const Console *c, int level, const char *message_id, const char *peer, const char *format, ...) {
        const LogField fields[] = {
                {"VSPC_VM_NAME=", c->name},
                {"VSPC_VM_UUID=", c->uuid_text},
                {"VSPC_URI=", c->uri},
                {"VSPC_PEER=", peer}, /* last, because it may be left out */
        };
        char message[LOG_MESSAGE_MAX];
        va_list ap;

        if (!log_is_wanted(level))
                return;

        va_start(ap, format);
        vsnprintf(message, sizeof message, format, ap);
        va_end(ap);

        /* A long name is cut, so that the rest of the message fits. The fields contain all of it. */
        log_full(level, 0,
                 &(LogFields){
                         .message_id = message_id,
                         .field = fields,
                         .n_fields = ELEMENTSOF(fields) - (peer ? 0 : 1),
                 },
                 "VM %.*s (%.*s): %s", (int) text_fit(c->name, LOG_LABEL_MAX), c->name,
                 (int) text_fit(c->id, LOG_LABEL_MAX), c->id, message);
}

bool console_may_log(Console *c) {
        unsigned n_left_out;

        if (!log_burst_pass(&c->log_limit, concentrator_now(c->concentrator), &n_left_out))
                return false;
        if (n_left_out > 0)
                console_log(c, LOG_NOTICE, NULL, NULL, "%u log lines about this VM suppressed", n_left_out);

        return true;
}

char *console_make_id(const Settings *settings, const uint8_t uuid[static 16], const uint8_t *bios, const char *uri) {
        char text[UUID_PAIR_TEXT_MAX], *id;

        uuid_format(uuid, text);
        if (bios) {
                strcat(text, "~");
                uuid_format(bios, text + strlen(text));
        }
        if (!settings->multi_console)
                return strdup(text);

        return asprintf(&id, "%s_%s", text, uri) < 0 ? NULL : id;
}

const Client *console_next_obstacle(const Console *c, AccessMode mode, const Client *after) {
        for (const Client *client = after ? after->next : c->clients; client; client = client->next)
                if (access_obstructs(client->record.access, mode))
                        return client;

        return NULL;
}

/* Like console_changed(), if thousands of consoles change at once: they are settled after those that change on their own. */
static void console_changed_with_others(Console *c) {
        concentrator_queue_patient(c->concentrator, c);
}

void console_settings_changed(Console *c, bool moved) {
        c->settings_changed = true;
        c->moved |= moved;
        console_changed_with_others(c);
}

bool console_is_clone(const Console *c) {
        return strlen(c->id) >= UUID_PAIR_TEXT_MAX - 1 && c->id[UUID_TEXT_MAX - 1] == '~';
}

/* Sets uuid_text from the identity: the UUID, or both UUIDs of a clone. */
static void console_set_uuid_text(Console *c) {
        uuid_format(c->record.uuid, c->uuid_text);
        if (console_is_clone(c))
                memcpy(c->uuid_text, c->id, UUID_PAIR_TEXT_MAX - 1);
}

int console_new(Concentrator *concentrator, const char *id, const uint8_t uuid[static 16], const char *name,
                const char *uri, uint16_t port, Console **ret) {
        _cleanup_free_ Console *c = calloc(1, sizeof(Console));
        if (!c)
                return -ENOMEM;

        c->concentrator = concentrator;
        c->record.since = concentrator_now_realtime(concentrator);
        memcpy(c->record.uuid, uuid, sizeof c->record.uuid);
        c->id = strdup(id);
        if (c->id)
                console_set_uuid_text(c);
        if (!c->id || console_set_uri(c, uri) < 0 || console_rename(c, name) < 0 ||
            concentrator_add_console(concentrator, c) < 0) {
                concentrator_remove_console(concentrator, c);
                free(c->id);
                free(c->uri);
                free(c->name);
                return -ENOMEM;
        }

        input_ring_init(&c->input);
        ring_init(&c->ring, concentrator_settings(concentrator)->scrollback_size,
                  concentrator_settings(concentrator)->client_buffer_size + OUTPUT_RESERVE);
        c->record.own_port = port;

        *ret = TAKE_PTR(c);
        return 0;
}

void console_announce(Console *c) {
        if (!TAKE(c->announced, true))
                concentrator_notify(c->concentrator, c, CONSOLE_ADDED, NULL);
}

static void console_log_ended(const Console *c, const char *host, const char *when) {
        console_log(c, LOG_INFO, VSPC_MESSAGE_VM_DISCONNECTED, host, "its connection from %s has ended%s", host, when);
}

void console_link_ended(Console *c, const char *host) {
        if (!console_active_link(c) && !c->absent_host && (c->absent_host = strdup(host)))
                timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_ABSENCE), &c->absence);
        else
                console_log_ended(c, host, "");
}

/* Logs that the last connection has ended, unless that has been logged. */
static void console_log_absence(Console *c, const char *when) {
        _cleanup_free_ char *host = TAKE_PTR(c->absent_host);

        timeout_stop(&c->absence);
        if (host)
                console_log_ended(c, host, when);
}

usec_t console_end_absence(Console *c) {
        usec_t began = c->absence.since_usec;

        if (!c->absent_host)
                return 0;

        timeout_stop(&c->absence);
        free(TAKE_PTR(c->absent_host));
        return concentrator_now(c->concentrator) - began;
}

void console_absence_elapsed(Timeout *t) {
        char when[32];

        snprintf(when, sizeof when, ", %u s ago", (unsigned) (CONSOLE_ABSENCE_USEC / USEC_PER_SEC));
        console_log_absence(container_of(t, Console, absence), when);
}

void console_set_gone(Console *c, usec_t since) {
        assert(!c->links && !c->clients && !c->vmotions);

        usec_t now = concentrator_now_realtime(c->concentrator);

        c->record.since = since;
        timeout_start_ago(concentrator_timeouts(c->concentrator, TIMEOUT_ORPHAN), &c->orphaned, now - MIN(since, now));
        console_settle_port(c);
        concentrator_limit_orphans(c->concentrator);
}

void console_changed(Console *c) {
        concentrator_queue_dirty(c->concentrator, c);
}

static void console_update_connected(Console *c) {
        bool connected = c->vmotions || console_active_link(c);

        console_changed(c);
        if (connected == c->connected)
                return;

        c->connected = connected;
        c->record.since = concentrator_now_realtime(c->concentrator);
        if (connected)
                c->record.connected_at = concentrator_now(c->concentrator);
        else
                c->record.connected_for += concentrator_now(c->concentrator) - c->record.connected_at;
        concentrator_counts(c->concentrator)->n_connected += connected ? 1 : -1U;
}

void console_links_changed(Console *c) {
        c->links_changed = true;
        console_update_connected(c);
}

void console_has_news(Console *c) {
        c->has_news = true;
        console_changed(c);
}

void console_remove(Console *c) {
        c->removed = true;
        timeout_stop(&c->orphaned);
        console_changed_with_others(c);
}

void console_close_clients(Console *c, int verdict) {
        while (c->clients)
                client_close(c->clients, verdict);
        while (c->half_closed)
                client_close(c->half_closed, verdict);
}

Console *console_free(Console *c) {
        Concentrator *concentrator = c->concentrator;

        assert(!c->links && !c->doubtful && !c->clients && !c->half_closed);

        while (c->vmotions)
                vmotion_discard(c->vmotions);

        concentrator_notify(concentrator, c, CONSOLE_REMOVED, NULL);
        concentrator_remove_console(concentrator, c);
        concentrator_unqueue_dirty(concentrator, c);
        timeout_stop(&c->orphaned);
        console_log_absence(c, ""); /* this is the last opportunity */
        console_close_port(c);
        console_charge_close(&c->lag);
        console_charge_close(&c->typed);
        ring_done(&c->ring);
        input_ring_done(&c->input);
        free(c->id);
        free(c->uri);
        free(c->name);
        free(c->former_name);
        free(c);
        return NULL;
}

int console_set_uri(Console *c, const char *uri) {
        if (c->uri && streq(c->uri, uri))
                return 0;

        char *copy = strdup(uri);
        if (!copy)
                return -ENOMEM;

        if (c->uri)
                console_has_news(c);
        free(c->uri);
        c->uri = copy;
        return 0;
}

int console_rename(Console *c, const char *name) {
        _cleanup_free_ char *label = NULL;

        if (!*name)
                label = strdup(c->id);
        else if (!concentrator_settings(c->concentrator)->multi_console)
                label = strdup(name);
        else if (asprintf(&label, "%s_%s", name, c->uri) < 0)
                label = NULL;
        if (!label || concentrator_name_console(c->concentrator, c, label) < 0)
                return -ENOMEM;

        if (!c->name || streq(c->name, label)) {
                free(c->name);
                c->name = TAKE_PTR(label);
                return 0;
        }

        console_log_limited(c, LOG_INFO, VSPC_MESSAGE_VM_RENAMED, NULL, "is now called %s", label);
        if (!c->former_name)
                c->former_name = TAKE_PTR(c->name);
        free(c->name);
        c->name = TAKE_PTR(label);
        c->rights.generation = c->rights_enforced = 0;
        console_changed(c);
        return 0;
}

static int links_in_order(const Link *a, const Link *b) {
        return a->record.number < b->record.number ? -1 : 1;
}

void console_add_link(Console *c, Link *link) {
        link->console = c;
        link->record.console = c->record.number;
        DL_INSERT_INORDER2(c->links, link, links_in_order, console_prev, console_next);
        c->n_links++;
        console_links_changed(c);
        timeout_stop(&c->orphaned);
}

void console_remove_link(Console *c, Link *link) {
        DL_DELETE2(c->links, link, console_prev, console_next);
        c->n_links--;
        console_links_changed(c);
}

void console_add_vmotion(Console *c, VMotion *v) {
        DL_APPEND(c->vmotions, v);
        c->n_vmotions++;
        console_update_connected(c);
}

void console_remove_vmotion(Console *c, VMotion *v) {
        DL_DELETE(c->vmotions, v);
        c->n_vmotions--;
        console_update_connected(c);
}

/* Closes half-closed clients, because another client has got exclusive access. */
static void console_shut_out_waiting(Console *c) {
        Client *client, *next;

        DL_FOREACH_SAFE(c->half_closed, client, next)
                if (client->telnet.record.ended)
                        client_close(client, CLIENT_E_SHUT_OUT);
}

static void console_count_client(Console *c, const Client *client, unsigned n) {
        c->n_clients += n;
        c->holders.n[client->record.access] += n;
        concentrator_counts(c->concentrator)->n_clients += n;
        c->clients_changed = true;
        console_changed(c);
}

void console_add_client(Console *c, Client *client) {
        if (client->record.access == ACCESS_EXCLUSIVE)
                console_shut_out_waiting(c);

        DL_APPEND(c->clients, client);
        console_count_client(c, client, 1);
        concentrator_add_client(c->concentrator, client);
        concentrator_notify(c->concentrator, c, CONSOLE_CLIENT_ATTACHED, client);
}

void console_remove_client(Console *c, Client *client) {
        if (client->record.half_closed) {
                DL_DELETE(c->half_closed, client);
                concentrator_counts(c->concentrator)->n_half_closed--;
                console_changed(c);
                return;
        }

        DL_DELETE(c->clients, client);
        c->record.left = concentrator_now_realtime(c->concentrator);
        console_count_client(c, client, -1U);
}

void console_half_close_client(Console *c, Client *client) {
        Client *other;
        unsigned n;

        console_remove_client(c, client);
        client->record.half_closed = true;
        DL_APPEND(c->half_closed, client);
        concentrator_counts(c->concentrator)->n_half_closed++;
        concentrator_notify(c->concentrator, c, CONSOLE_CLIENT_DETACHED, client);

        DL_COUNT(c->half_closed, other, n);
        if (n > CLIENT_HALF_CLOSED_MAX)
                client_close(c->half_closed, CLIENT_E_TOO_MANY);
}

void console_change_access(Console *c, Client *client, Access access) {
        c->holders.n[client->record.access]--;
        client->record.access = access;
        c->holders.n[access]++;
        c->clients_changed = true;
        console_has_news(c);
}

unsigned console_clear(Console *c, const Peer *by) {
        unsigned n = c->n_clients;

        if (n > 0)
                console_log(c, LOG_NOTICE, VSPC_MESSAGE_VM_CLEARED, by->text, "%s disconnects its %u %s", by->text, n,
                            n == 1 ? "client" : "clients");
        console_close_clients(c, CLIENT_E_CLEARED);
        return n;
}

int console_forget(Console *c, const Peer *by) {
        if (c->links || c->vmotions)
                return -EBUSY;

        console_log_absence(c, "");
        console_log(c, LOG_NOTICE, VSPC_MESSAGE_VM_FORGOTTEN, by->text, "forgotten by %s", by->text);
        console_close_clients(c, CLIENT_E_FORGOTTEN);
        console_remove(c);
        return 0;
}

void console_output(Console *c, const uint8_t *data, size_t n) {
        Client *client;

        concentrator_metrics(c->concentrator)->vm_bytes_received += n;
        c->record.output_at = concentrator_now_realtime(c->concentrator);
        DL_FOREACH(c->half_closed, client)
                client_break_vm_silence(client);
        if (ring_append(&c->ring, data, n) < 0)
                console_log(c, LOG_ERR, NULL, NULL, "no memory for its output, %zu bytes are lost", n);
        concentrator_notify_output(c->concentrator, c, data, n);
        console_changed(c);
}

size_t console_output_space(Console *c) {
        const Settings *settings = concentrator_settings(c->concentrator);

        /* A single read must not make a client miss output that keeps up with the VM. */
        if (settings->slow_client != SLOW_CLIENT_WAIT)
                return settings->client_buffer_size / 2;

        size_t space = ring_space(&c->ring);
        return space > OUTPUT_RESERVE ? space - OUTPUT_RESERVE : 0;
}

VMotionState console_vmotion_state(const Console *c) {
        return c->vmotions ? c->vmotions->record.state : VMOTION_NONE;
}

const Link *console_active_link(const Console *c) {
        const Link *l, *active = NULL;

        DL_FOREACH2(c->links, l, console_next)
                if (l->record.state == LINK_LIVE)
                        active = l;

        return active;
}

usec_t console_gone_since(const Console *c) {
        return c->connected || c->clients ? 0 : MAX(c->record.since, c->record.left);
}

usec_t console_expires(const Console *c) {
        sd_event *event = concentrator_event(c->concentrator);
        usec_t deadline = c->orphaned.queue ? timeout_deadline(&c->orphaned) : USEC_INFINITY;

        if (deadline == USEC_INFINITY)
                return USEC_INFINITY;

        usec_t expires, left = deadline - MIN(deadline, event_now(event));
        return __builtin_add_overflow(event_now_realtime(event), left, &expires) ? USEC_INFINITY : expires;
}
