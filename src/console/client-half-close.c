/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that have ended their sending side, as "printf 'uptime\r' | nc -N" does. A client that has closed its
 * connection altogether looks the same until it is sent something, so both are sent their VM's output for a while. */

#include "client.h"

bool client_is_shut_out(const Client *c) {
        return c->access != ACCESS_EXCLUSIVE && c->console->holders.n[ACCESS_EXCLUSIVE] > 0;
}

void client_begin_half_close(Client *c) {
        timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_HALF_CLOSED), &c->lifetime);
        if (c->half_closed)
                return;

        client_log_disconnected(c);
        console_half_close_client(c->console, c);
}

void client_half_close(Client *c) {
        if (client_is_shut_out(c) || !stream_end_reading(&c->telnet.stream)) {
                client_close(c, CLIENT_E_ENDED);
                return;
        }

        c->ended = true;
        buffer_clear(&c->unread);
        timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_VM_SILENCE), &c->vm_silence);
        client_begin_half_close(c);
}

void client_break_vm_silence(Client *c) {
        if (c->ended)
                timeout_start(concentrator_timeouts(c->concentrator, TIMEOUT_VM_SILENCE), &c->vm_silence);
}

void client_vm_silence_elapsed(Timeout *t) {
        Client *c = container_of(t, Client, vm_silence);

        /* The VM cannot answer yet: it has not received all input. */
        if (console_holds_input(c->console))
                client_break_vm_silence(c);
        else
                client_close(c, CLIENT_E_ENDED);
}

void client_lifetime_elapsed(Timeout *t) {
        client_close(container_of(t, Client, lifetime), CLIENT_E_ENDED);
}
