/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/timeout-queue.h"
#include "transport/address.h"
#include "transport/poller.h"
#include "transport/tls-context.h"

/*
 * EsxiHosts: the simulated ESXi hosts, and what all their links share. If there are several hosts, each has an
 * address of its own, as on a real site: one address has only 64K ports.
 */
typedef struct EsxiLinkHandler EsxiLinkHandler;

/* Encryption of the hosts' connections */
typedef enum EsxiSecurity {
        ESXI_PLAIN,
        ESXI_TELNETS,      /* TLS from the first byte */
        ESXI_START_TLS,    /* when the concentrator asks for it */
        ESXI_SOME_TELNETS, /* TLS from the first byte for every other host */
} EsxiSecurity;

/* Where the hosts connect to, and how */
typedef struct EsxiHabits {
        SocketAddress concentrator;
        uint64_t count; /* number of hosts; if more than one: at 127.0.0.1, 127.0.0.2 and so on */
        EsxiSecurity security;
        bool resume;    /* resume TLS sessions */
        uint64_t split; /* maximum of bytes in a segment; 0: no limit */
        bool coalesce;  /* delay answers a little, to send several together */
} EsxiHabits;

typedef struct EsxiHosts {
        Poller *poller;
        const EsxiHabits *habits;
        const EsxiLinkHandler *handler;
        TlsContext *tls;        /* NULL: plain */
        TimeoutQueue gathering; /* how long answers are delayed */
        TimeoutQueue parting;   /* how long the concentrator may take to close its side */
} EsxiHosts;

/* @habits and @handler are borrowed. The concentrator's certificate is not checked. Returns: 0 or a negative
 * errno; errors are logged. */
int esxi_hosts_init(EsxiHosts *hosts, Poller *poller, const EsxiHabits *habits, const EsxiLinkHandler *handler);
void esxi_hosts_done(EsxiHosts *hosts);

/* Begins to connect from the host with this number, modulo the number of hosts. Returns: a descriptor or a
 * negative errno. */
int esxi_hosts_connect(const EsxiHosts *hosts, unsigned host);

/* Returns: whether that host uses TLS from the first byte. */
bool esxi_hosts_speaks_telnets(const EsxiHosts *hosts, unsigned host);
