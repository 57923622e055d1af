/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "client.h"
#include "link.h"

bool client_uses_com_port(const Client *c) {
        return telnet_option_in_use(&c->telnet.record.session.options, TELNET_COM_PORT);
}

int client_begin_com_port(Client *c) {
        if (!client_uses_com_port(c) || TAKE(c->record.shown_modem, true))
                return 0;

        return com_port_put_modem_state(&c->telnet.stream.out);
}

int client_confirm_com_port(Client *c, const TelnetEvent *event) {
        const Link *active = console_active_link(c->console);
        ComPort vm;

        if (active)
                vm = active->record.com_port;
        else
                com_port_init(&vm);

        return com_port_confirm(&c->record.com_port, &vm, event, &c->telnet.stream.out);
}
