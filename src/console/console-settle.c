/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What follows from a console's links, clients, vMotions and settings, brought up to date. */

#include <utlist.h>

#include "client.h"
#include "console-vmotion.h"
#include "identification.h"

/* This is done for each console on its own, because it takes the kernel a third of a second to open or close 16,000 ports. */
static void console_settle_settings(Console *c) {
        const Settings *settings = concentrator_settings(c->concentrator);
        uint16_t port = c->port;

        if (!TAKE(c->settings_changed, false))
                return;
        if (TAKE(c->moved, false))
                console_move_port(c);

        ring_set_bounds(&c->ring, settings->scrollback_size, settings->client_buffer_size + OUTPUT_RESERVE);
        if (!settings->vm_ports)
                console_close_port(c); /* who is connected stays so */
        else if (c->claim.facts.state != PORT_AWAITED) /* it has its turn */
                console_open_port(c);

        if (c->port != port)
                console_has_news(c);
}

/* Tells observers once, however often it has been renamed since it was settled. */
static void console_settle_name(Console *c) {
        if (c->former_name && !streq(c->former_name, c->name))
                concentrator_notify(c->concentrator, c, CONSOLE_RENAMED, NULL);

        free(TAKE_PTR(c->former_name));
}

/* Output is blocked from when the ring is full until half of it is free again, so that this does not change with each block. */
static bool console_output_is_blocked(Console *c) {
        const Settings *settings = concentrator_settings(c->concentrator);

        if (settings->slow_client != SLOW_CLIENT_WAIT)
                return false;

        return !console_has_room(c, OUTPUT_RESERVE + (c->output_blocked ? settings->client_buffer_size / 2 : RING_BLOCK_SIZE));
}

/* Observers are not told of a VM that has come back before that. */
static void console_settle_connected(Console *c) {
        if (c->connected == c->shown_connected)
                return;

        c->shown_connected = c->connected;
        concentrator_notify(c->concentrator, c, c->connected ? CONSOLE_CONNECTED : CONSOLE_DISCONNECTED, NULL);
}

/* A lock ends with its connection: clients that have fallen back because of it rise again. */
static void console_settle_access(Console *c) {
        Client *client, *next;

        if (!TAKE(c->clients_changed, false))
                return;

        DL_FOREACH_SAFE(c->clients, client, next)
                client_update_access(client);
}

/* Calls @f, which may close the client, for all clients and all half-closed ones. */
static void console_for_each_client(Console *c, void (*f)(Client *client)) {
        Client *client, *next;

        DL_FOREACH_SAFE(c->clients, client, next)
                f(client);
        DL_FOREACH_SAFE(c->half_closed, client, next)
                f(client);
}

/* Has clients read while there is room for input. If there is, they first put in what they have kept. Returns: whether
 * anything has changed. */
static bool console_update_input_blocked(Console *c) {
        bool blocked = console_input_space(c) == 0;

        if (blocked == c->input_blocked && (blocked || !c->input_waits))
                return false;

        c->input_blocked = blocked;
        c->input_waits = false;
        console_for_each_client(c, client_input_changed);
        return true;
}

static void console_settle_input(Console *c) {
        do
                console_flush_input(c);
        while (console_update_input_blocked(c));
}

static void console_settle_output(Console *c) {
        Link *l;

        DL_FOREACH2(c->links, l, console_next)
                link_deliver_pending(l);

        console_for_each_client(c, client_flush);
        console_trim_output(c);

        bool blocked = console_output_is_blocked(c);
        if (blocked == c->output_blocked)
                return;

        c->output_blocked = blocked;
        DL_FOREACH2(c->links, l, console_next)
                link_update_reading(l);
}

static void console_settle_orphaned(Console *c) {
        if (c->links || c->clients || c->vmotions)
                timeout_stop(&c->orphaned);
        else if (!c->orphaned.queue) {
                timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_ORPHAN), &c->orphaned);
                concentrator_limit_orphans(c->concentrator);
        }
        console_settle_port(c);
}

/* Returns: whether it is to be freed. It stays if its VM or a client has come meanwhile. */
static bool console_settle_removal(Console *c) {
        if (!TAKE(c->removed, false) || c->links || c->doubtful || c->clients || c->vmotions)
                return false;

        console_close_clients(c, CLIENT_E_FORGOTTEN);
        return true;
}

bool console_settle(Console *c) {
        if (console_settle_removal(c))
                return false;

        console_settle_settings(c);
        if (c->links_changed)
                console_settle_doubts(c);
        console_settle_name(c);
        console_settle_rights(c);
        console_settle_connected(c);
        console_settle_clash(c);
        console_settle_access(c);
        console_settle_input(c);
        console_settle_output(c);
        console_settle_orphaned(c);
        if (TAKE(c->has_news, false))
                concentrator_notify(c->concentrator, c, CONSOLE_CHANGED, NULL);

        return true;
}
