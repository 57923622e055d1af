/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "esxi-link.h"

/* What an EsxiLink is made of, for those who work on it: esxi-link.c, esxi-dialogue.c, and the timers in esxi-hosts.c. */

/* How far it is with option 37 */
typedef enum EsxiSettlement {
        SETTLEMENT_OFFERED,
        SETTLEMENT_AGREED,   /* DO 37 came: SEND will follow */
        SETTLEMENT_STARTING, /* START has been said: ACCEPTED will follow */
        SETTLEMENT_DONE,
} EsxiSettlement;

struct EsxiLink {
        EsxiHosts *hosts;
        void *owner; /* NULL: freed by its owner, to be freed as soon as the call on the stack is over */
        Timeout timeout; /* in hosts->gathering or hosts->parting */

        uint8_t settlement; /* EsxiSettlement */
        bool vmware_asked;  /* DO 232 came before authentication was settled */
        bool introduced;
        bool named;
        bool uart_set;
        bool live;
        bool parting;  /* everything has been written */
        bool shut;     /* … and sent, or can no longer be */
        bool busy;     /* a handler may be on the stack */
        bool ended;
        int error; /* that sending failed with */

        TelnetConnection telnet; /* last, see there */
};

/* Offers what is offered first. Returns: 0 or a negative errno. */
int esxi_link_offer(EsxiLink *link);

/* From here on in TLS, where telnet begins anew: offers what is offered first. Returns: 0 or a negative errno. */
int esxi_link_start_tls(EsxiLink *link);

/* What the concentrator says is answered, and the owner is told what it is to know. See TelnetHandler; ESXI_LINK_E_CLOSED: the
 * owner has freed the link, or it has ended. */
#define ESXI_LINK_E_CLOSED _TELNET_E_MAX
int esxi_link_data(TelnetConnection *t, uint8_t *data, size_t n);
int esxi_link_command(TelnetConnection *t, uint8_t command);
int esxi_link_negotiate(TelnetConnection *t, const TelnetEvent *event);
int esxi_link_subnegotiate(TelnetConnection *t, const TelnetEvent *event);

/* Queues how a guest sets up its serial port. Returns: 0, -ENOBUFS, -ENOMEM. */
int esxi_link_put_uart(EsxiLink *link);

void esxi_link_gathered(Timeout *t);
void esxi_link_parting_elapsed(Timeout *t);
