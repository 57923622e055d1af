/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>
#include <utlist.h>

#include "basic/text.h"
#include "client.h"
#include "console-vmotion.h"
#include "console.h"
#include "link.h"
#include "message.h"

/* With SlowClient=wait the ring keeps this much free beyond ClientBufferSize=, for what a link has kept back
 * until it was known which VM it is. */
#define OUTPUT_RESERVE LINK_PENDING_MAX

/* Bytes of a VM's name and identity in a log message */
#define LOG_LABEL_MAX 128U

static void console_vlog(const Console *c, int level, const char *message_id, const char *peer, const char *format,
                         va_list ap) _printf_(5, 0);
static void console_vlog(const Console *c, int level, const char *message_id, const char *peer, const char *format,
                         va_list ap) {
        const LogField fields[] = {
                {"VSPC_VM_NAME=", c->name},
                {"VSPC_VM_UUID=", c->uuid_text},
                {"VSPC_URI=", c->uri},
                {"VSPC_PEER=", peer}, /* the last: it may be missing */
        };
        char message[LOG_MESSAGE_MAX];

        vsnprintf(message, sizeof message, format, ap);

        /* What it is called must not crowd out what has happened; the fields have all of it. */
        log_full(level, 0,
                 &(LogFields){
                         .message_id = message_id,
                         .field = fields,
                         .n_fields = ELEMENTSOF(fields) - (peer ? 0 : 1),
                 },
                 "VM %.*s (%.*s): %s", (int) text_fit(c->name, LOG_LABEL_MAX), c->name,
                 (int) text_fit(c->id, LOG_LABEL_MAX), c->id, message);
}

void console_log(const Console *c, int level, const char *message_id, const char *peer,
                 const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        console_vlog(c, level, message_id, peer, format, ap);
        va_end(ap);
}

bool console_may_log_said(Console *c) {
        unsigned n_left_out;

        if (!log_burst_pass(&c->said, event_now(c->concentrator->event), &n_left_out))
                return false;
        if (n_left_out > 0)
                console_log(c, LOG_NOTICE, NULL, NULL, "%u lines about it were left out, there were so many", n_left_out);

        return true;
}

void console_log_said(Console *c, int level, const char *message_id, const char *peer, const char *format, ...) {
        va_list ap;

        if (!console_may_log_said(c))
                return;

        va_start(ap, format);
        console_vlog(c, level, message_id, peer, format, ap);
        va_end(ap);
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

ConsoleVerdict console_admits(const Console *c, AccessMode mode, Access *ret_granted) {
        uint32_t limit = c->concentrator->settings.client_limit;

        *ret_granted = access_decide(mode, &c->holders);
        if (*ret_granted == ACCESS_NONE)
                return CONSOLE_DENIES_ACCESS;

        return limit > 0 && console_count_clients(c) >= limit ? CONSOLE_IS_FULL : CONSOLE_ADMITS;
}

unsigned console_count_clients(const Console *c) {
        return c->n_clients - c->holders.n[ACCESS_NONE];
}

const Client *console_next_obstacle(const Console *c, AccessMode mode, const Client *after) {
        for (const Client *client = after ? after->next : c->clients; client; client = client->next)
                if (access_obstructs(client->access, mode))
                        return client;

        return NULL;
}

void console_apply_settings(Console *c) {
        const Settings *settings = &c->concentrator->settings;
        uint16_t port = c->port;

        ring_set_bounds(&c->ring, settings->scrollback_size, settings->client_buffer_size + OUTPUT_RESERVE);
        if (!settings->vm_ports)
                console_close_port(c); /* who is connected stays so */
        else if (c->claim.facts.state != PORT_AWAITED) /* it has its turn */
                console_open_port(c);

        if (c->port != port)
                concentrator_notify(c->concentrator, c, CONSOLE_CHANGED, NULL);
        console_settle(c);
}

/* The UUID, or both of a clone's, as the identity has them. */
static int console_set_uuid_text(Console *c) {
        bool clone = strlen(c->id) >= UUID_PAIR_TEXT_MAX - 1 && c->id[UUID_TEXT_MAX - 1] == '~';

        uuid_format(c->uuid, c->uuid_text);
        if (!clone)
                return 0;

        memcpy(c->uuid_text, c->id, UUID_PAIR_TEXT_MAX - 1);
        return concentrator_add_clone(c->concentrator, c);
}

int console_new(Concentrator *concentrator, const char *id, const uint8_t uuid[static 16], const char *name,
                const char *uri, uint16_t port, Console **ret) {
        _cleanup_free_ Console *c = calloc(1, sizeof(Console));
        if (!c)
                return -ENOMEM;

        c->concentrator = concentrator;
        c->number = concentrator->n_consoles_ever++;
        c->since = event_now_realtime(concentrator->event);
        memcpy(c->uuid, uuid, sizeof c->uuid);
        c->id = strdup(id);
        if (!c->id || console_set_uri(c, uri) < 0 || console_rename(c, name) < 0 ||
            HASH_TRY_ADD(handle, concentrator->consoles, c->id, strlen(c->id), c) < 0 || console_set_uuid_text(c) < 0) {
                HASH_REMOVE(handle, concentrator->consoles, c);
                free(c->id);
                free(c->uri);
                free(c->name);
                return -ENOMEM;
        }

        ring_init(&c->ring, concentrator->settings.scrollback_size,
                  concentrator->settings.client_buffer_size + OUTPUT_RESERVE);
        c->own_port = port;
        console_open_port(c);
        concentrator_notify(concentrator, c, CONSOLE_ADDED, NULL);

        *ret = TAKE_PTR(c);
        return 0;
}

void console_set_gone(Console *c, usec_t since) {
        assert(!c->links && !c->clients && !c->vmotions);

        usec_t now = event_now_realtime(c->concentrator->event);

        c->since = since;
        timeout_start_ago(&c->concentrator->orphans, &c->orphaned, now - MIN(since, now));
        console_settle_port(c);
        concentrator_limit_orphans(c->concentrator);
}

static void console_end_half_closed(Console *c) {
        while (c->half_closed)
                client_end(c->half_closed);
}

Console *console_free(Console *c) {
        Concentrator *concentrator = c->concentrator;

        /* They take themselves out as they go. */
        while (c->clients)
                client_end(c->clients);
        console_end_half_closed(c);
        while (c->links)
                link_end(c->links);
        while (c->doubtful)
                link_leave_doubts(c->doubtful);
        while (c->vmotions)
                vmotion_discard(c->vmotions);

        concentrator_notify(concentrator, c, CONSOLE_REMOVED, NULL);
        HASH_REMOVE(handle, concentrator->consoles, c);
        concentrator_remove_clone(concentrator, c);
        timeout_stop(&c->orphaned);
        console_close_port(c);
        ring_done(&c->ring);
        free(c->id);
        free(c->uri);
        free(c->name);
        free(c);
        return NULL;
}

int console_set_uri(Console *c, const char *uri) {
        if (c->uri && streq(c->uri, uri))
                return 0;

        char *copy = strdup(uri);
        if (!copy)
                return -ENOMEM;

        bool changed = c->uri;
        free(c->uri);
        c->uri = copy;
        if (changed)
                concentrator_notify(c->concentrator, c, CONSOLE_CHANGED, NULL);
        return 0;
}

int console_rename(Console *c, const char *name) {
        _cleanup_free_ char *label = NULL;

        if (!*name)
                label = strdup(c->id);
        else if (!c->concentrator->settings.multi_console)
                label = strdup(name);
        else if (asprintf(&label, "%s_%s", name, c->uri) < 0)
                label = NULL;
        if (!label)
                return -ENOMEM;

        if (!c->name) {
                c->name = TAKE_PTR(label);
                return 0;
        }

        if (streq(c->name, label))
                return 0;

        console_log_said(c, LOG_INFO, VSPC_MESSAGE_VM_RENAMED, NULL, "is now called %s", label);
        _cleanup_free_ char *former_name = c->name;
        c->name = TAKE_PTR(label);
        c->former_name = former_name;
        concentrator_notify(c->concentrator, c, CONSOLE_RENAMED, NULL);
        c->former_name = NULL;
        return 0;
}

void console_add_link(Console *c, Link *link) {
        link->console = c;
        c->links_changed = true;
        DL_APPEND2(c->links, link, console_prev, console_next);
        c->n_links++;
        timeout_stop(&c->orphaned);
}

void console_remove_link(Console *c, Link *link) {
        c->links_changed = true;
        DL_DELETE2(c->links, link, console_prev, console_next);
        c->n_links--;
}

void console_add_vmotion(Console *c, VMotion *v) {
        DL_APPEND(c->vmotions, v);
}

void console_remove_vmotion(Console *c, VMotion *v) {
        DL_DELETE(c->vmotions, v);
}

void console_add_client(Console *c, Client *client) {
        if (client->access == ACCESS_EXCLUSIVE)
                console_end_half_closed(c);

        DL_APPEND(c->clients, client);
        c->n_clients++;
        c->holders.n[client->access]++;
        c->concentrator->n_clients++;
        c->concentrator->metrics.clients++;
        console_settle(c);
        concentrator_notify(c->concentrator, c, CONSOLE_CLIENT_ATTACHED, client);
}

/* A lock ends with its connection: those who have fallen back because of it rise again. */
static void console_settle_access(Console *c, Access given_up) {
        Client *client, *next;

        if (given_up == ACCESS_WRITE)
                DL_FOREACH_SAFE(c->clients, client, next)
                        client_update_access(client);
}

void console_change_access(Console *c, Client *client, Access access) {
        Access before = client->access;

        c->holders.n[before]--;
        client->access = access;
        c->holders.n[access]++;
        c->concentrator->n_clients_gone += access == ACCESS_NONE;
        console_settle_access(c, before);
}

/* Takes it out of the list of clients, and out of all counts. */
static void console_discount_client(Console *c, Client *client) {
        DL_DELETE(c->clients, client);
        c->n_clients--;
        c->left = event_now_realtime(c->concentrator->event);
        c->holders.n[client->access]--;
        c->concentrator->n_clients--;
        c->concentrator->n_clients_gone -= client->access == ACCESS_NONE;
}

static void console_settle_departure(Console *c, const Client *client) {
        console_settle_access(c, client->access);
        console_settle(c);
        concentrator_notify(c->concentrator, c, CONSOLE_CLIENT_DETACHED, client);
}

void console_half_close_client(Console *c, Client *client) {
        Client *other;
        unsigned n;

        console_discount_client(c, client);
        client->half_closed = true;
        DL_APPEND(c->half_closed, client);

        /* Only now that the lists are in order: it may end any client that has fallen behind. */
        DL_COUNT(c->half_closed, other, n);
        if (n > CLIENT_HALF_CLOSED_MAX)
                client_end(c->half_closed);
        console_settle_departure(c, client);
}

void console_remove_client(Console *c, Client *client) {
        ring_leave(&c->ring, &client->cursor);
        if (client->half_closed) {
                DL_DELETE(c->half_closed, client);
                console_settle(c);
                return;
        }

        console_discount_client(c, client);
        console_settle_departure(c, client);
}

static void console_disconnect_clients(Console *c, const char *why) {
        /* They take themselves out as they go. */
        while (c->clients)
                client_end_gently(c->clients, why);
        while (c->half_closed)
                client_end_gently(c->half_closed, why);
}

unsigned console_clear(Console *c, const Peer *by) {
        unsigned n = console_count_clients(c);

        if (c->n_clients > 0)
                console_log(c, LOG_NOTICE, VSPC_MESSAGE_VM_CLEARED, by->text, "%s disconnects its %u %s", by->text, n,
                            n == 1 ? "client" : "clients");
        console_disconnect_clients(c, "disconnected by an administrator");
        return n;
}

int console_forget(Console *c, const Peer *by) {
        if (c->links || c->vmotions)
                return -EBUSY;

        console_log(c, LOG_NOTICE, VSPC_MESSAGE_VM_FORGOTTEN, by->text, "%s has it forgotten", by->text);
        console_disconnect_clients(c, "this VM has been forgotten");
        console_free(c);
        return 0;
}

bool console_has_room(Console *c, size_t n) {
        return c->concentrator->settings.slow_client != SLOW_CLIENT_WAIT || ring_space(&c->ring) >= n;
}

void console_output(Console *c, const uint8_t *data, size_t n) {
        Client *client;

        c->concentrator->metrics.vm_bytes_received += n;
        DL_FOREACH(c->half_closed, client)
                client_break_vm_silence(client);
        if (ring_append(&c->ring, data, n) < 0)
                console_log(c, LOG_ERR, NULL, NULL, "no memory for its output, %zu bytes are lost", n);
        concentrator_notify_output(c->concentrator, c, data, n);
}

static void console_flush_clients(Console *c) {
        Client *client, *next;

        DL_FOREACH_SAFE(c->clients, client, next)
                client_flush(client);
        DL_FOREACH_SAFE(c->half_closed, client, next)
                client_flush(client);
}

void console_pump(Console *c) {
        console_flush_clients(c);
        console_settle(c);
}

size_t console_output_space(Console *c) {
        const Settings *settings = &c->concentrator->settings;

        /* Whatever the policy, a client that keeps up must not be overtaken by a single read. */
        if (settings->slow_client != SLOW_CLIENT_WAIT)
                return settings->client_buffer_size / 2;

        size_t space = ring_space(&c->ring);
        return space > OUTPUT_RESERVE ? space - OUTPUT_RESERVE : 0;
}

/* Blocked once the ring is full, and until half of it is free again: not for each block that is sent. */
static bool console_output_is_blocked(Console *c) {
        const Settings *settings = &c->concentrator->settings;

        if (settings->slow_client != SLOW_CLIENT_WAIT)
                return false;

        size_t space = console_output_space(c);
        return c->output_blocked ? space < settings->client_buffer_size / 2 : space < RING_BLOCK_SIZE;
}

VMotionState console_vmotion_state(const Console *c) {
        return c->vmotions ? c->vmotions->state : VMOTION_NONE;
}

const Link *console_speaker(const Console *c) {
        const Link *l, *speaker = NULL;

        DL_FOREACH2(c->links, l, console_next)
                if (l->state == LINK_LIVE)
                        speaker = l;

        return speaker;
}

usec_t console_gone_since(const Console *c) {
        return c->connected || c->clients ? 0 : MAX(c->since, c->left);
}

usec_t console_expires(const Console *c) {
        sd_event *event = c->concentrator->event;
        usec_t deadline = c->orphaned.queue ? timeout_deadline(&c->orphaned) : USEC_INFINITY;

        if (deadline == USEC_INFINITY)
                return USEC_INFINITY;

        usec_t expires, left = deadline - MIN(deadline, event_now(event));
        return __builtin_add_overflow(event_now_realtime(event), left, &expires) ? USEC_INFINITY : expires;
}

static bool console_is_connected(const Console *c) {
        return c->vmotions || console_speaker(c);
}

static void console_settle_connected(Console *c) {
        bool connected = console_is_connected(c);

        if (connected == c->connected)
                return;

        c->connected = connected;
        c->since = event_now_realtime(c->concentrator->event);
        if (connected)
                c->connected_at = event_now(c->concentrator->event);
        else
                c->claim.connected += event_now(c->concentrator->event) - c->connected_at;
        c->concentrator->n_connected += connected ? 1 : -1U;
        concentrator_notify(c->concentrator, c, connected ? CONSOLE_CONNECTED : CONSOLE_DISCONNECTED, NULL);
        console_flush_clients(c); /* tells them */
}

static void console_settle_input(Console *c) {
        bool blocked = console_input_space(c) == 0;
        Client *client, *next;

        if (blocked == c->input_blocked)
                return;

        c->input_blocked = blocked;
        DL_FOREACH_SAFE(c->clients, client, next)
                client_input_changed(client);

        if (blocked)
                return;

        /* What they have kept may be more than there was room for: that is noticed before it is sent, and there is room
         * again. */
        console_settle_input(c);
        console_flush_input(c);
}

static void console_settle_output(Console *c) {
        bool blocked = console_output_is_blocked(c), changed = blocked != c->output_blocked, delivered = false;
        Link *l;

        ring_trim(&c->ring);
        c->output_blocked = blocked;
        DL_FOREACH2(c->links, l, console_next) {
                if (l->pending.size > 0)
                        delivered |= link_deliver_pending(l);
                if (changed)
                        link_update_reading(l);
        }

        if (delivered)
                console_pump(c);
}

static void console_settle_orphaned(Console *c) {
        if (c->links || c->clients || c->vmotions)
                timeout_stop(&c->orphaned);
        else if (!c->orphaned.queue) {
                timeout_start(&c->concentrator->orphans, &c->orphaned);
                concentrator_limit_orphans(c->concentrator);
        }
        console_settle_port(c);
}

void console_settle(Console *c) {
        console_settle_connected(c);
        console_settle_input(c);
        console_settle_output(c);
        console_settle_orphaned(c);
        console_settle_clash(c);
}
