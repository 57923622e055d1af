/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/time.h"

/*
 * PortPool: the TCP ports at which VMs are served, lowest first. It knows which ones are taken, and which ones another program
 * was found to have; its caller opens the sockets.
 */
typedef struct PortPool {
        uint16_t first, last;
        uint64_t ours[65536 / 64];
        uint64_t foreign[65536 / 64];
        uint64_t known[65536 / 64]; /* found to be foreign, and not ours since */
        usec_t foreign_since; /* when the oldest foreign port was found, 0 if there is none */
} PortPool;

/* A port that another program has is tried again after this time. */
#define PORT_POOL_FOREIGN_USEC (60 * USEC_PER_SEC)

void port_pool_init(PortPool *p, uint16_t first, uint16_t last);

/* Sets a new range; ports that are taken outside of it stay taken until they are released. */
void port_pool_set_range(PortPool *p, uint16_t first, uint16_t last);

/* Takes the lowest free port. @now: CLOCK_MONOTONIC. Returns: the port, or -ENOSPC if there is none. */
int port_pool_take(PortPool *p, usec_t now);

/* Takes @port. Returns: 0, or -EADDRINUSE if it is outside of the range or not free. */
int port_pool_claim(PortPool *p, uint16_t port);

/* Notes that another program has @port, which has just been taken. Returns: whether that was not known. */
bool port_pool_set_foreign(PortPool *p, uint16_t port, usec_t now);
void port_pool_release(PortPool *p, uint16_t port);
