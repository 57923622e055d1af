/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/timeout-queue.h"
#include "transport/address.h"
#include "transport/poller.h"
#include "transport/tls-context.h"

/*
 * EsxiHosts: the hosts of a simulation, and what all their links share. Several hosts have an address each, for a
 * site's hosts do not share one address with its 64K ports either.
 */
typedef struct EsxiLinkHandler EsxiLinkHandler;

/* How the hosts' connections travel */
typedef enum EsxiSecurity {
        ESXI_PLAIN,
        ESXI_TELNETS,      /* TLS from the first byte */
        ESXI_START_TLS,    /* once the concentrator asks for it */
        ESXI_SOME_TELNETS, /* those of every other host in TLS, the others plain */
} EsxiSecurity;

/* Where they connect to, and how they do it */
typedef struct EsxiHabits {
        SocketAddress concentrator;
        unsigned count; /* of hosts; more than one: at 127.0.0.1, 127.0.0.2 and so on */
        EsxiSecurity security;
        bool resume;    /* TLS sessions go on from earlier ones */
        size_t split;   /* bytes a segment; 0: as it comes */
        bool coalesce;  /* answers wait a little for more to go with */
} EsxiHabits;

typedef struct EsxiHosts {
        Poller *poller;
        const EsxiHabits *habits;
        const EsxiLinkHandler *handler;
        TlsContext *tls;        /* NULL: plain */
        TimeoutQueue gathering; /* how long answers wait for more */
        TimeoutQueue parting;   /* how long the concentrator may take to close its side */
} EsxiHosts;

/* @habits and @handler are borrowed. The concentrator's certificate is not checked. Returns: 0, or a negative errno after
 * having said what is wrong. */
int esxi_hosts_init(EsxiHosts *hosts, Poller *poller, const EsxiHabits *habits, const EsxiLinkHandler *handler);
void esxi_hosts_done(EsxiHosts *hosts);

/* Begins to connect from the host of this number, which counts round. Returns: a descriptor, or a negative errno. */
int esxi_hosts_connect(const EsxiHosts *hosts, unsigned host);

/* Whether that host speaks TLS from the first byte. */
bool esxi_hosts_speaks_telnets(const EsxiHosts *hosts, unsigned host);
