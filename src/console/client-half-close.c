/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that have ended their sending side, as "printf 'uptime\\r' | nc -N" does. A client that has gone
 * altogether looks the same until it is sent something. So either gets its VM's output for a while. */

#include "client.h"

void client_half_close(Client *c) {
        Concentrator *concentrator = c->concentrator;

        if (!stream_end_reading(&c->stream)) {
                client_end(c);
                return;
        }

        buffer_clear(&c->unread);
        client_log_disconnected(c);
        timeout_start(&concentrator->vm_silences, &c->vm_silence);
        timeout_start(&concentrator->half_closed, &c->lifetime);
        console_half_close_client(c->console, c);
        client_flush(c);
}

void client_break_vm_silence(Client *c) {
        if (c->half_closed)
                timeout_start(&c->concentrator->vm_silences, &c->vm_silence);
}

void client_vm_silence_elapsed(Timeout *t) {
        Client *c = container_of(t, Client, vm_silence);

        /* The VM has not got yet what it is to answer. */
        if (console_holds_input(c->console))
                client_break_vm_silence(c);
        else
                client_end(c);
}

void client_lifetime_elapsed(Timeout *t) {
        client_end(container_of(t, Client, lifetime));
}
