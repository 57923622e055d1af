/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/time.h"

/*
 * PortPool: the TCP ports of VMs. The lowest free port is taken first. It knows which ports are taken, and which are in use by
 * other programs ("foreign"). Its caller opens the sockets.
 */
typedef struct PortPool {
        uint16_t first, last;
        uint64_t ours[65536 / 64];
        uint64_t foreign[65536 / 64];
        uint64_t known[65536 / 64]; /* have been foreign, and have not been ours since */
        usec_t foreign_since; /* when the oldest foreign port was found; 0: there is none */
} PortPool;

/* A foreign port is tried again after this time. */
#define PORT_POOL_FOREIGN_USEC (60 * USEC_PER_SEC)

void port_pool_init(PortPool *p, uint16_t first, uint16_t last);

/* Sets a new range. Ports outside of it that are taken stay taken until they are released. */
void port_pool_set_range(PortPool *p, uint16_t first, uint16_t last);

/* Takes the lowest free port. @now: CLOCK_MONOTONIC. Returns: the port, or -ENOSPC if no port is free. */
int port_pool_take(PortPool *p, usec_t now);

/* Takes @port. Returns: 0, or -EADDRINUSE if it is outside the range or not free. */
int port_pool_claim(PortPool *p, uint16_t port);

/* Marks @port, which has just been taken, as foreign. Returns: whether this is new. */
bool port_pool_set_foreign(PortPool *p, uint16_t port, usec_t now);
void port_pool_release(PortPool *p, uint16_t port);
