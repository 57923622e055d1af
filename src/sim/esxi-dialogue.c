/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The protocol of an ESXi host on a link: telnet negotiation, the beginning of TLS in the middle of it, VMware's
 * suboptions, and the settings that a guest makes for its serial port. */

#include "basic/log.h"
#include "esxi-link-internal.h"
#include "telnet/authentication.h"

static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_AUTHENTICATION, TELNET_BINARY, TELNET_SGA, TELNET_VMWARE,
                                TELNET_COM_PORT, TELNET_OPTION_END},
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_us_offered = 1,
};

int esxi_link_offer(EsxiLink *link) {
        telnet_connection_begin(&link->telnet, &policy);
        return telnet_connection_offer(&link->telnet);
}

/* TLS begins, and telnet starts from the beginning. */
int esxi_link_start_tls(EsxiLink *link) {
        link->authentication = ESXI_AUTHENTICATION_OFFERED;
        link->vmware_asked = false;

        int r = telnet_connection_start_tls(&link->telnet, link->hosts->tls, NULL);
        return r < 0 ? r : esxi_link_offer(link);
}

static int offer_option(EsxiLink *link, uint8_t option) {
        uint8_t command = telnet_option_enable(&link->telnet.record.session.options, TELNET_US, option);

        return command == 0 ? 0
                            : telnet_connection_command(&link->telnet, (uint8_t[]){command, option}, 2);
}

/* ESXi sends its WILL VMWARE only when it knows whether there will be authentication. It then sends it even if it
 * was not asked, because VMware's own concentrator never asks. */
static int finish_authentication(EsxiLink *link) {
        TelnetEvent held = {.type = TELNET_EVENT_NEGOTIATION, .command = TELNET_DO, .option = TELNET_VMWARE};
        TelnetAnswer answer;

        link->authentication = ESXI_AUTHENTICATION_DONE;
        if (!TAKE(link->vmware_asked, false))
                return offer_option(link, TELNET_VMWARE);

        return telnet_connection_negotiate(&link->telnet, &held, &answer);
}

static int handle_authentication(EsxiLink *link, const TelnetEvent *event) {
        bool wanted = link->hosts->habits->security == ESXI_START_TLS && !link->telnet.stream.tls;
        int r;

        switch (authentication_parse(event)) {

        case AUTHENTICATION_SEND:
                if (wanted && link->authentication == ESXI_AUTHENTICATION_AGREED) {
                        link->authentication = ESXI_AUTHENTICATION_STARTING;
                        return authentication_put(&link->telnet.stream.out, AUTHENTICATION_START);
                }
                r = authentication_put(&link->telnet.stream.out, AUTHENTICATION_DECLINED);
                return r < 0 || link->authentication != ESXI_AUTHENTICATION_AGREED ? r : finish_authentication(link);

        case AUTHENTICATION_ACCEPTED:
                return link->authentication == ESXI_AUTHENTICATION_STARTING ? esxi_link_start_tls(link) : 0;

        default:
                return 0;
        }
}

int esxi_link_put(EsxiLink *link, VMwareCode code, const void *data, size_t n) {
        log_debug("→ %s", vmware_code_name((uint8_t) code));
        return vmware_put(&link->telnet.stream.out, code, data, n);
}

static int put_uuid(EsxiLink *link, VMwareCode code, const uint8_t uuid[static 16]) {
        static const char digits[] = "0123456789abcdef";
        char text[16 * 3];

        /* "50 12 …-50 …" */
        for (size_t i = 0; i < 16; i++) {
                text[3 * i] = digits[uuid[i] >> 4];
                text[3 * i + 1] = digits[uuid[i] & 15];
                text[3 * i + 2] = i == 7 ? '-' : ' ';
        }

        return esxi_link_put(link, code, text, sizeof text - 1);
}

static int put_name(EsxiLink *link, const char *name) {
        int r = esxi_link_put(link, VMWARE_VM_NAME, name, strlen(name));
        if (r < 0 || link->named)
                return r;

        link->named = true;
        r = offer_option(link, TELNET_COM_PORT);
        if (r < 0)
                return r;

        link->hosts->handler->named(link);
        return 0;
}

static int link_introduce(EsxiLink *link) {
        /* The concentrator may repeat its question. */
        if (link->introduced)
                return 0;
        link->introduced = true;

        int r = esxi_link_put(link, VMWARE_KNOWN_SUBOPTIONS_1, vmware_known, n_vmware_known);
        if (r < 0)
                return r;

        return link->hosts->handler->introduce(link);
}

static int handle_vmware(EsxiLink *link, const TelnetEvent *event) {
        EsxiIdentity identity = {};
        VMwareSuboption s;

        int r = vmware_parse(event, &s);
        if (r < 0)
                return r;

        log_debug("← %s", vmware_code_name(s.code));

        switch (s.code) {

        case VMWARE_KNOWN_SUBOPTIONS_2:
                return link_introduce(link);

        case VMWARE_GET_VM_VC_UUID:
        case VMWARE_GET_VM_BIOS_UUID:
        case VMWARE_GET_VM_LOCATION_UUID:
                link->hosts->handler->identify(link, &identity);
                return put_uuid(link, s.code - 1, identity.uuid);

        case VMWARE_GET_VM_NAME:
                link->hosts->handler->identify(link, &identity);
                return put_name(link, identity.name);

        case VMWARE_WILL_PROXY:
        case VMWARE_WONT_PROXY:
        case VMWARE_VMOTION_GOAHEAD:
        case VMWARE_VMOTION_NOTNOW:
        case VMWARE_VMOTION_PEER_OK:
                link->hosts->handler->answer(link, &s);
                return 0;

        case VMWARE_UNKNOWN_SUBOPTION_RCVD_2:
                log_warning("The concentrator does not know %s.",
                            s.size > 0 ? vmware_code_name(s.data[0]) : "something");
                return 0;

        default:
                return esxi_link_put(link, VMWARE_UNKNOWN_SUBOPTION_RCVD_1, &s.code, 1);
        }
}

/* A guest makes the settings of its UART before it first writes: 115200 8N1 (RFC 2217, section 3: SET-BAUDRATE,
 * -DATASIZE, -PARITY, -STOPSIZE). */
int esxi_link_put_uart(EsxiLink *link) {
        static const struct {
                uint8_t data[5];
                size_t n;
        } settings[] = {{{1, 0, 1, 0xc2, 0}, 5}, {{2, 8}, 2}, {{3, 1}, 2}, {{4, 1}, 2}};

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                int r = telnet_put_subnegotiation(&link->telnet.stream.out, TELNET_COM_PORT, settings[i].data,
                                                  settings[i].n);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int handle_negotiation(EsxiLink *link, const TelnetEvent *event) {
        TelnetAnswer answer;

        if (event->option == TELNET_VMWARE && event->command == TELNET_DO &&
            link->authentication != ESXI_AUTHENTICATION_DONE) {
                link->vmware_asked = true;
                return 0;
        }

        int r = telnet_connection_negotiate(&link->telnet, event, &answer);
        if (r < 0)
                return r;

        /* A concentrator that agrees without having asked waits for our suboptions. One that has asked
         * sends its own first. */
        if (event->option == TELNET_VMWARE && event->command == TELNET_DO && answer.changed)
                return link_introduce(link);

        if (event->option != TELNET_AUTHENTICATION || link->authentication != ESXI_AUTHENTICATION_OFFERED)
                return 0;
        if (answer.refused)
                return finish_authentication(link);
        if (answer.changed)
                link->authentication = ESXI_AUTHENTICATION_AGREED;

        return 0;
}

static int handle_subnegotiation(EsxiLink *link, const TelnetEvent *event) {
        switch (event->option) {

        case TELNET_VMWARE:
                return handle_vmware(link, event);

        case TELNET_AUTHENTICATION:
                return handle_authentication(link, event);

        default: /* COM-PORT: confirmation of our settings */
                return 0;
        }
}

/* Stop if the owner has freed the link, or it has ended. */
static int link_goes_on(const EsxiLink *link) {
        return link->owner && !link->ended ? 0 : ESXI_LINK_E_CLOSED;
}

int esxi_link_data(TelnetConnection *t, uint8_t *data, size_t n) {
        EsxiLink *link = container_of(t, EsxiLink, telnet);

        link->hosts->handler->input(link, data, n);
        return link_goes_on(link);
}

int esxi_link_command(TelnetConnection *t, uint8_t command) {
        EsxiLink *link = container_of(t, EsxiLink, telnet);

        if (command == TELNET_BRK)
                link->hosts->handler->brk(link);
        return link_goes_on(link);
}

int esxi_link_negotiate(TelnetConnection *t, const TelnetEvent *event) {
        EsxiLink *link = container_of(t, EsxiLink, telnet);
        int r = handle_negotiation(link, event);

        return r < 0 ? r : link_goes_on(link);
}

int esxi_link_subnegotiate(TelnetConnection *t, const TelnetEvent *event) {
        EsxiLink *link = container_of(t, EsxiLink, telnet);
        int r = handle_subnegotiation(link, event);

        return r < 0 ? r : link_goes_on(link);
}
