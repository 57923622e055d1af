/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection/telnet-connection.h"
#include "esxi-hosts.h"
#include "telnet/vmware.h"

/*
 * EsxiLink: one connection of a VM's serial port to the concentrator, as an ESXi host makes it: the telnet
 * negotiation, the exchange of suboptions, and serial data. It does not know what a vMotion is: its owner is
 * told what the concentrator says, and says itself what is due.
 */
typedef struct EsxiLink EsxiLink;

/* Who the VM is, for when the concentrator asks. */
#define ESXI_NAME_MAX 256U
typedef struct EsxiIdentity {
        char name[ESXI_NAME_MAX];
        uint8_t uuid[16];
} EsxiIdentity;

struct EsxiLinkHandler {
        /* KNOWN-SUBOPTIONS-1 has been queued: DO-PROXY or VMOTION-PEER is to follow. */
        int (*introduce)(EsxiLink *link);
        void (*identify)(EsxiLink *link, EsxiIdentity *ret);
        void (*named)(EsxiLink *link); /* the concentrator has been told the name */

        /* WILL-PROXY, WONT-PROXY, or one of the VMOTION-… */
        void (*answer)(EsxiLink *link, const VMwareSuboption *s);

        void (*input)(EsxiLink *link, const uint8_t *data, size_t n);
        void (*brk)(EsxiLink *link);

        void (*writable)(EsxiLink *link);         /* the queue of output has got shorter */
        void (*ended)(EsxiLink *link, int error); /* 0: closed by the peer. To be freed, now or later. */
};

/* Begins to connect from the host of this number, which counts round. Returns: 0 or a negative errno. */
int esxi_link_new(EsxiHosts *hosts, unsigned host, void *owner, EsxiLink **ret);

/* May be called from within any handler of the link; none is called after it. */
EsxiLink *esxi_link_free(EsxiLink *link);

void *esxi_link_owner(const EsxiLink *link);

/* Queues a suboption; it is sent with the answers to what is being handled, or by esxi_link_flush(). */
int esxi_link_put(EsxiLink *link, VMwareCode code, const void *data, size_t n);

/* Sends what is queued, as far as the connection takes it. A failure is reported by ended(), later. */
void esxi_link_flush(EsxiLink *link);

/* From here on serial data may be sent. */
void esxi_link_go_live(EsxiLink *link);

/* How many bytes of serial data it takes now. */
size_t esxi_link_room(const EsxiLink *link);

/* Queues serial data, at most as much as there is room. */
int esxi_link_write(EsxiLink *link, const uint8_t *data, size_t n);

/* Whether the kernel has got everything that has been written. */
bool esxi_link_drained(EsxiLink *link);

void esxi_link_pause(EsxiLink *link);
void esxi_link_resume(EsxiLink *link);

/* Says good-bye: sends what is queued, then closes the sending side, and goes on reading until the
 * concentrator closes as well; ended() is called then. */
void esxi_link_part(EsxiLink *link);
