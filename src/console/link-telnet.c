/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a link agrees to in telnet, and where what comes on it goes: output to its console, negotiations to their
 * options, and what is said in these to who understands it. */

#include "link.h"
#include "message.h"

static const int16_t for_us[] = {TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END};
static const int16_t for_vm[] = {TELNET_BINARY,   TELNET_SGA,     TELNET_VMWARE,
                                 TELNET_COM_PORT, TELNET_OPTION_END};
static const int16_t for_vm_that_may[] = {TELNET_BINARY,   TELNET_SGA,            TELNET_VMWARE,
                                          TELNET_COM_PORT, TELNET_AUTHENTICATION, TELNET_OPTION_END};

/* Where TLS is required, option 232 is none for plain text: nothing of what a VM says there is understood. */
static const int16_t for_vm_that_must[] = {TELNET_BINARY, TELNET_SGA, TELNET_AUTHENTICATION, TELNET_OPTION_END};

static const TelnetPolicy link_policies[_LINK_SECURITY_MAX] = {
        [LINK_PLAIN] = {.us = for_us, .n_us_offered = 3, .him = for_vm, .n_him_offered = 3},
        [LINK_MAY_START_TLS] = {.us = for_us, .n_us_offered = 3, .him = for_vm_that_may, .n_him_offered = 3},
        [LINK_MUST_START_TLS] = {.us = for_us, .n_us_offered = 3, .him = for_vm_that_must, .n_him_offered = 3},
        [LINK_TLS] = {.us = for_us, .n_us_offered = 3, .him = for_vm, .n_him_offered = 3},
};

static const TelnetPolicy *link_policy(const Link *l) {
        assert(l->security != LINK_UNDECIDED);

        return &link_policies[l->security];
}

void link_offer(Link *l) {
        (void) telnet_session_offer(&l->telnet, link_policy(l), &l->stream.out);
}

static void link_data(Link *l, const uint8_t *data, size_t n) {
        if (link_is_heard(l)) {
                console_output(l->console, data, n);
                return;
        }

        if (buffer_append(&l->pending, data, n) < 0) {
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "sent more than %u bytes before saying which VM it is, closing it", LINK_PENDING_MAX);
                link_end(l);
        }
}

static void link_refuse_stranger(Link *l) {
        link_log(l, LOG_INFO, VSPC_MESSAGE_VM_REFUSED,
                 "is not an ESXi host (it refuses telnet option 232), closing it");
        link_refuse(l, LINK_STRANGER_TEXT);
}

static void link_negotiate(Link *l, const TelnetEvent *event) {
        size_t queued = l->stream.out.size;
        TelnetAnswer answer = {};

        int r = telnet_session_negotiate(&l->telnet, link_policy(l), event, &l->stream.out, &answer);
        if (!link_answered(l, queued, r))
                return;

        if (event->option == TELNET_COM_PORT && answer.changed && l->state == LINK_LIVE)
                concentrator_notify(l->concentrator, l->console, CONSOLE_CHANGED, NULL);
        if (telnet_command_side(event->command) != TELNET_HIM)
                return;

        bool begins = answer.changed && event->command == TELNET_WILL;

        switch (event->option) {

        case TELNET_AUTHENTICATION:
                if (begins && l->state == LINK_HANDSHAKE)
                        link_ask_authentication(l);
                else if (event->command == TELNET_WONT && (answer.refused || l->authenticating))
                        link_decline_tls(l);
                break;

        case TELNET_VMWARE:
                if (answer.refused)
                        link_refuse_stranger(l);
                else if (begins && !l->authenticating)
                        link_ask(l);
                break;
        }
}

static void link_handle_com_port(Link *l, const TelnetEvent *event) {
        char before[COM_PORT_TEXT_MAX], text[COM_PORT_TEXT_MAX];

        com_port_format(&l->com_port, before);
        size_t queued = l->stream.out.size;
        int r = telnet_session_settle(&l->telnet, &l->stream.out);
        if (r >= 0)
                r = com_port_handle(&l->com_port, event, &l->stream.out);
        if (!link_answered(l, queued, r) || streq(com_port_format(&l->com_port, text), before))
                return;

        link_log(l, LOG_DEBUG, NULL, "its serial port is set to %s", text);
        if (l->state == LINK_LIVE)
                concentrator_notify(l->concentrator, l->console, CONSOLE_CHANGED, NULL);
}

static void link_subnegotiate(Link *l, const TelnetEvent *event) {
        VMwareSuboption suboption;

        if (!telnet_option_enabled(&l->telnet.options, TELNET_HIM, event->option)) {
                link_log(l, LOG_DEBUG, NULL, "subnegotiates option %u, which is not in force", event->option);
                return;
        }

        switch (event->option) {

        case TELNET_VMWARE:
                if (vmware_parse(event, &suboption) >= 0)
                        link_handle_suboption(l, &suboption);
                break;

        case TELNET_COM_PORT:
                link_handle_com_port(l, event);
                break;

        case TELNET_AUTHENTICATION:
                link_handle_authentication(l, event);
                break;
        }
}

void link_receive(Link *l, const uint8_t *p, size_t n) {
        while (n > 0 && l->state != LINK_DEAD) {
                TelnetEvent event;
                size_t used = telnet_decode(&l->telnet.in, p, n, &event);

                p += used;
                n -= used;

                switch (event.type) {

                case TELNET_EVENT_DATA:
                        link_data(l, event.data, event.size);
                        break;

                case TELNET_EVENT_NEGOTIATION:
                        link_negotiate(l, &event);
                        break;

                case TELNET_EVENT_SUBNEGOTIATION:
                        link_subnegotiate(l, &event);
                        break;

                case TELNET_EVENT_OVERLONG:
                        link_log(l, LOG_WARNING, VSPC_MESSAGE_PROTOCOL_VIOLATION,
                                 "sent a subnegotiation of option %u of more than %u bytes, closing it",
                                 event.option, TELNET_SUBNEGOTIATION_MAX);
                        link_end(l);
                        break;

                case TELNET_EVENT_COMMAND: /* of all commands none means anything from a VM */
                case TELNET_EVENT_NONE:
                        break;
                }

                /* Whoever can write into the connection could have the VM say something before TLS begins, and
                 * have it heard as if it had come in TLS. */
                if (n > 0 && l->state != LINK_DEAD && l->stream.handshake) {
                        link_log(l, LOG_WARNING, VSPC_MESSAGE_PROTOCOL_VIOLATION,
                                 "has begun TLS and sent %zu more bytes in plain text, closing it", n);
                        link_end(l);
                }
        }
}
