/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* COM-PORT (RFC 2217): programs open a VM's console as a serial port. They set a speed, look at the modem lines and send
 * breaks. Only the breaks reach the VM. */

#include "client.h"
#include "link.h"

static bool client_uses_com_port(const Client *c) {
        return telnet_option_in_use(&c->telnet.options, TELNET_COM_PORT);
}

void client_begin_com_port(Client *c) {
        if (!client_uses_com_port(c) || TAKE(c->shown_modem, true))
                return;

        if (telnet_session_settle(&c->telnet, &c->stream.out) < 0 || com_port_put_modem_state(&c->stream.out) < 0)
                client_close(c, CLIENT_E_DEAF);
}

void client_handle_com_port(Client *c, const TelnetEvent *event) {
        const Link *active = console_active_link(c->console);
        ComPort vm;

        if (!client_uses_com_port(c))
                return;

        if (active)
                vm = active->com_port;
        else
                com_port_init(&vm);

        if (telnet_session_settle(&c->telnet, &c->stream.out) < 0 ||
            com_port_confirm(&c->com_port, &vm, event, &c->stream.out) < 0)
                client_close(c, CLIENT_E_DEAF);
        else if (com_port_is_break(event))
                client_break(c);
}
