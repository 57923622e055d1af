/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "esxi-link.h"

/* The members of EsxiLink, for esxi-link.c, esxi-dialogue.c and the timers in esxi-hosts.c. */

/* The state of option 37 (AUTHENTICATION) */
typedef enum EsxiAuthentication {
        ESXI_AUTHENTICATION_OFFERED,
        ESXI_AUTHENTICATION_AGREED,   /* DO 37 was received, SEND is expected */
        ESXI_AUTHENTICATION_STARTING, /* START was sent, ACCEPTED is expected */
        ESXI_AUTHENTICATION_DONE,
} EsxiAuthentication;

struct EsxiLink {
        EsxiHosts *hosts;
        void *owner; /* NULL: freed by the owner, to be really freed when the handler on the stack returns */
        Timeout timeout; /* in hosts->gathering or hosts->parting */

        uint8_t authentication; /* EsxiAuthentication */
        bool vmware_asked;  /* DO 232 was received before option 37 was negotiated */
        bool introduced;
        bool named;
        bool uart_set;
        bool live;
        bool parting;  /* everything has been written */
        bool shut;     /* … and has been sent or cannot be sent any more */
        bool busy;     /* a handler may be on the stack */
        bool ended;
        int error; /* of sending */

        TelnetConnection telnet; /* must be last, see there */
};

/* Sends the first offers. Returns: 0 or a negative errno. */
int esxi_link_offer(EsxiLink *link);

/* Begins TLS, in which telnet starts from the beginning, and sends the first offers. Returns: 0 or a negative errno. */
int esxi_link_start_tls(EsxiLink *link);

/* Handle negotiations and subnegotiations, see TelnetHandler. ESXI_LINK_E_CLOSED: the owner has freed the link, or it has
 * ended. */
#define ESXI_LINK_E_CLOSED _TELNET_E_MAX
int esxi_link_data(TelnetConnection *t, uint8_t *data, size_t n);
int esxi_link_command(TelnetConnection *t, uint8_t command);
int esxi_link_negotiate(TelnetConnection *t, const TelnetEvent *event);
int esxi_link_subnegotiate(TelnetConnection *t, const TelnetEvent *event);

/* Queues the settings that a guest makes for its serial port. Returns: 0, -ENOBUFS, -ENOMEM. */
int esxi_link_put_uart(EsxiLink *link);

void esxi_link_gathered(Timeout *t);
void esxi_link_parting_elapsed(Timeout *t);
