/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/lookup.h"
#include "varlink-server.h"
#include "vm-activity.h"

/*
 * VmStream: the methods of org.vspc.Concentrator with many replies: List, and Monitor, which first tells all present VMs and
 * then events. VMs are told in the order in which they were created, a bounded number at a time. The position in the list of
 * VMs moves on if the VM there is removed.
 *
 * Events wait in the server's EventQueue. A caller of Monitor gets events about VMs of which it has got the present state. If it
 * falls behind, it gets the present state again. Callers that want it also get the events of VmActivity.
 */
typedef struct VmStream {
        VarlinkServer *server;
        ConcentratorObserver observer;
        VmActivity activity;
        Buffer event; /* the event that is being composed */
} VmStream;

void vm_stream_init(VmStream *s, VarlinkServer *server);
void vm_stream_done(VmStream *s);

/* Replies with all VMs; or if @designation is not NULL, with those that match it in the way of @fit. */
void vm_stream_list(VarlinkConnection *c, const char *designation, Fit fit);

/* Begins to reply to Monitor. @activity: the caller wants the events of VmActivity. Returns: false if there are
 * VARLINK_WATCHERS_MAX callers already. */
bool vm_stream_monitor(VarlinkConnection *c, bool activity);
