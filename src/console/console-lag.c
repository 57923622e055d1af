/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lag: output that a console's ring keeps in addition to the scrollback, for clients that are behind. It is kept once, for any
 * number of clients, and is charged to the owner of the client that was furthest behind when the lag began. */

#include "client.h"

static Client *further_behind(Client *list, Client *furthest) {
        for (Client *client = list; client; client = client->next)
                if (client_lags(client) && (!furthest || client->record.cursor.position < furthest->record.cursor.position))
                        furthest = client;

        return furthest;
}

/* Returns: the client that is furthest behind; NULL if no client lags. */
static Client *console_find_laggard(const Console *c) {
        return further_behind(c->half_closed, further_behind(c->clients, NULL));
}

static void lose_lag_of(Client *list, const AccountOwner *owner) {
        for (Client *client = list, *next; client; client = next) {
                next = client->next;
                if (client_lags(client) && client->connection.owner == owner)
                        client_lose_lag(client);
        }
}

static void overtake(Client *list) {
        for (Client *client = list, *next; client; client = next) {
                next = client->next;
                if (client_lags(client) && !client_may_delay_vm(client))
                        client_lose_lag(client);
        }
}

bool console_has_room(Console *c, size_t n) {
        if (concentrator_settings(c->concentrator)->slow_client != SLOW_CLIENT_WAIT || ring_space(&c->ring) >= n)
                return true;

        overtake(c->clients);
        overtake(c->half_closed);
        return ring_space(&c->ring) >= n;
}

/* The account wants the memory back. If a client of another owner is furthest behind now, the memory is charged to that owner
 * instead: no client loses output because of another owner's client. */
static bool console_lag_given_up(Charge *charge) {
        Console *c = container_of(charge, ConsoleCharge, charge)->console;
        const AccountOwner *owner = charge->owner;
        const Client *laggard = console_find_laggard(c);
        bool is_owner = laggard && laggard->connection.owner == owner;

        if (is_owner) {
                lose_lag_of(c->clients, owner);
                lose_lag_of(c->half_closed, owner);
        }

        console_charge_close(&c->lag);
        console_changed(c);
        return is_owner;
}

void console_trim_output(Console *c) {
        ring_trim(&c->ring);

        size_t lag = ring_lag(&c->ring);
        const Client *laggard = lag > 0 && !c->lag ? console_find_laggard(c) : NULL;

        if (laggard)
                console_charge_open(&c->lag, c, &laggard->connection, CHARGE_LAG, console_lag_given_up);
        console_charge_set(&c->lag, lag);
}
