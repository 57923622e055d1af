/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection/telnet-connection.h"
#include "esxi-hosts.h"
#include "telnet/vmware.h"

/*
 * EsxiLink: one connection of a VM's serial port to the concentrator, as made by an ESXi host: telnet negotiation,
 * suboptions and serial data. It knows nothing about vMotions: it passes the concentrator's messages to its owner,
 * which sends its own.
 */
typedef struct EsxiLink EsxiLink;

/* The VM's name and UUID, which the concentrator asks for. */
#define ESXI_NAME_MAX 256U
typedef struct EsxiIdentity {
        char name[ESXI_NAME_MAX];
        uint8_t uuid[16];
} EsxiIdentity;

struct EsxiLinkHandler {
        /* KNOWN-SUBOPTIONS-1 has been queued: the owner must queue DO-PROXY or VMOTION-PEER. */
        int (*introduce)(EsxiLink *link);
        void (*identify)(EsxiLink *link, EsxiIdentity *ret);
        void (*named)(EsxiLink *link); /* the name has been sent */

        /* WILL-PROXY, WONT-PROXY or VMOTION-… was received. */
        void (*answer)(EsxiLink *link, const VMwareSuboption *s);

        void (*input)(EsxiLink *link, const uint8_t *data, size_t n);
        void (*brk)(EsxiLink *link);

        void (*writable)(EsxiLink *link);         /* the output queue is shorter */
        void (*ended)(EsxiLink *link, int error); /* 0: closed by the peer. The owner must free the link. */
};

/* Begins to connect from the host with this number, modulo the number of hosts. Returns: 0 or a negative errno. */
int esxi_link_new(EsxiHosts *hosts, unsigned host, void *owner, EsxiLink **ret);

/* May be called in a handler of the link. No handler is called afterwards. */
EsxiLink *esxi_link_free(EsxiLink *link);

void *esxi_link_owner(const EsxiLink *link);

/* Queues a suboption. It is sent when the handler has returned, or by esxi_link_flush(). */
int esxi_link_put(EsxiLink *link, VMwareCode code, const void *data, size_t n);

/* Sends what is queued, as much as the connection takes. A failure is reported later by ended(). */
void esxi_link_flush(EsxiLink *link);

/* Permits serial data from now on. */
void esxi_link_go_live(EsxiLink *link);

/* Returns: the number of bytes of serial data that can be queued now. */
size_t esxi_link_room(const EsxiLink *link);

/* Queues serial data, at most esxi_link_room() bytes. */
int esxi_link_write(EsxiLink *link, const uint8_t *data, size_t n);

/* Returns: whether everything has been passed to the kernel. */
bool esxi_link_drained(EsxiLink *link);

void esxi_link_pause(EsxiLink *link);
void esxi_link_resume(EsxiLink *link);

/* Closes the link politely: sends what is queued, closes the sending side, and reads until the concentrator has
 * closed the connection as well. Then ended() is called. */
void esxi_link_part(EsxiLink *link);
