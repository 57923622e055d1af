/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Settling a console: updates everything that depends on its links, clients, vMotions and settings. */

#include <utlist.h>

#include "client.h"
#include "console-vmotion.h"
#include "identification.h"

/* Settings are applied to each console separately, because opening or closing 16,000 ports takes a third of a second. */
static void console_settle_settings(Console *c) {
        const Settings *settings = concentrator_settings(c->concentrator);
        uint16_t port = c->port;

        if (!TAKE(c->settings_changed, false))
                return;
        if (TAKE(c->moved, false))
                console_move_port(c);

        ring_set_bounds(&c->ring, settings->scrollback_size, settings->client_buffer_size + OUTPUT_RESERVE);
        if (!settings->vm_ports)
                console_close_port(c); /* clients stay connected */
        else if (c->claim.facts.state != PORT_AWAITED) /* otherwise it waits for its turn */
                console_open_port(c);

        if (c->port != port)
                console_has_news(c);
}

/* Tells observers once, even if the console has been renamed several times since. */
static void console_settle_name(Console *c) {
        if (c->former_name && !streq(c->former_name, c->name))
                concentrator_notify(c->concentrator, c, CONSOLE_RENAMED, NULL);

        free(TAKE_PTR(c->former_name));
}

/* Once the ring is full, output is blocked until half of it is free, so that reading does not start and stop for each block. */
static bool console_output_is_blocked(Console *c) {
        const Settings *settings = concentrator_settings(c->concentrator);

        if (settings->slow_client != SLOW_CLIENT_WAIT)
                return false;

        return !console_has_room(c, OUTPUT_RESERVE + (c->output_blocked ? settings->client_buffer_size / 2 : RING_BLOCK_SIZE));
}

/* Observers are not told if the VM has reconnected in the meantime. */
static void console_settle_connected(Console *c) {
        if (c->connected == c->shown_connected)
                return;

        c->shown_connected = c->connected;
        concentrator_notify(c->concentrator, c, c->connected ? CONSOLE_CONNECTED : CONSOLE_DISCONNECTED, NULL);
}

/* When a lock has ended, clients that fell back because of it get write access again. */
static void console_settle_access(Console *c) {
        Client *client, *next;

        if (!TAKE(c->clients_changed, false))
                return;

        DL_FOREACH_SAFE(c->clients, client, next)
                client_update_access(client);
}

/* Calls @f for all clients, including half-closed ones. @f may close the client. */
static void console_for_each_client(Console *c, void (*f)(Client *client)) {
        Client *client, *next;

        DL_FOREACH_SAFE(c->clients, client, next)
                f(client);
        DL_FOREACH_SAFE(c->half_closed, client, next)
                f(client);
}

/* Lets clients read while there is room for input. Clients that have kept input pass it on first. Returns: whether anything has
 * changed. */
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

/* Returns: whether the console must be freed. It stays if its VM or a client has come in the meantime. */
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
