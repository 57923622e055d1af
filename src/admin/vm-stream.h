/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/lookup.h"
#include "varlink-server.h"

/*
 * VmStream: the two answers of org.vspc.Concentrator that consist of many replies: List, and Monitor, which begins
 * with all VMs that there are and goes on with what happens. All VMs are gone through in the order in which they
 * came to be, a bounded number at a time, by a position that moves on if the VM there is removed.
 *
 * Events wait in the server's EventQueue. A caller gets events of the VMs that it has been told of; one that falls behind
 * is told the present state again.
 */
typedef struct VmStream {
        VarlinkServer *server;
        ConcentratorObserver observer;
        Buffer event; /* the one that is being told */
} VmStream;

void vm_stream_init(VmStream *s, VarlinkServer *server);
void vm_stream_done(VmStream *s);

/* All VMs, or if @designation is not NULL those that fit it so well. */
void vm_stream_list(VarlinkConnection *c, const char *designation, Fit fit);

/* Returns: false if there are too many callers of Monitor() already. */
bool vm_stream_monitor(VarlinkConnection *c);
