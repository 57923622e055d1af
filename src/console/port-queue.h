/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "basic/heap.h"
#include "basic/log.h"
#include "basic/time.h"

/*
 * PortQueue: which VM is the next to get a port, or a descriptor with which to listen at its port, and which VM is the
 * next to lose one of these. It only keeps the order: console-port.c opens and closes ports.
 *
 * VMs that wait are served in the order in which they came, VMs that are away (neither connected, nor with a client)
 * after all others. They are served in turns of the event loop, each of a bounded time.
 *
 * Of VMs that are away, the one that has been away for longest stops listening first when descriptors run out. The one that
 * was connected for the shortest time in all loses its port first when all ports are taken, once it has been away for
 * PORT_QUEUE_AWAY_USEC. Both are found in O(1); all else is O(log n).
 */
#define PORT_QUEUE_AWAY_USEC (3600 * USEC_PER_SEC)

/* The duration of a turn, not counting its last step */
#define PORT_QUEUE_TURN_USEC USEC_PER_MSEC

typedef enum PortState {
        PORT_NONE,     /* without: VMPorts=no, it was given up for another VM, or it cannot be opened */
        PORT_AWAITED,  /* all ports are taken, waits for one */
        PORT_RESERVED, /* has a port, but does not listen there: waits for a descriptor */
        PORT_OPEN,     /* listens at its port */
} PortState;

typedef struct PortFacts {
        PortState state;
        bool away;         /* neither its VM nor a client is connected */
        usec_t away_since; /* CLOCK_MONOTONIC; before its beginning: modulo 2^64 */
        bool useful;       /* its port could be another VM's: it is within the range */
} PortFacts;

/* The lists of those that wait, in the order in which they are served */
typedef enum PortList {
        PORT_LIST_NONE,
        PORT_LIST_RESERVED, /* PORT_RESERVED, not away */
        PORT_LIST_AWAITED,  /* PORT_AWAITED, not away */
        PORT_LIST_RESERVED_AWAY,
        PORT_LIST_AWAITED_AWAY,
        _PORT_LIST_MAX,
} PortList;

/* A VM's part in the queue, embedded in its console. All zero to begin with; its state must be PORT_NONE before it is freed. */
typedef struct PortClaim PortClaim;
struct PortClaim {
        PortFacts facts;
        usec_t connected; /* how long it was connected in all; does not change while it is away */

        PortList list;
        PortClaim *prev, *next; /* in that list */
        HeapNode listener; /* in PortQueue.listeners */
        HeapNode holder;   /* in PortQueue.recent or PortQueue.holders */
};

typedef struct PortQueue PortQueue;

/* Serves the VM that is next, if it can be served. Returns: whether there may be more to do now. If not, *ret_retry is when
 * to try again (CLOCK_MONOTONIC); USEC_INFINITY, which it is to begin with: not before something changes. */
typedef bool (*PortQueueHandler)(PortQueue *q, usec_t *ret_retry);

struct PortQueue {
        sd_event *event; /* borrowed: it outlives the queue */
        PortQueueHandler serve;
        sd_event_source *turn; /* a timer */

        PortClaim *lists[_PORT_LIST_MAX]; /* utlists; that of PORT_LIST_NONE stays empty */
        unsigned n[_PORT_LIST_MAX];

        Heap listeners; /* away and PORT_OPEN, the one away for longest first */
        Heap recent;    /* away with a port, not for PORT_QUEUE_AWAY_USEC yet, the one away for longest first */
        Heap holders;   /* away with a port for as long as that, the one connected for the shortest time first */
        sd_event_source *grown_old; /* for the first of `recent` */

        bool told_closed;      /* it has been logged that VMs do not listen at their ports */
        RateLimit closings; /* limits how often that is logged */
};

int port_queue_init(PortQueue *q, sd_event *event, PortQueueHandler serve);
void port_queue_done(PortQueue *q);

/* Brings the queue up to date about @c. */
void port_queue_update(PortQueue *q, PortClaim *c, const PortFacts *facts);

/* A port or a descriptor may have become free: VMs that wait are served when the loop comes round. */
void port_queue_wake(PortQueue *q);

/* Returns: the VM that is the next to stop listening; NULL: none. */
PortClaim *port_queue_listener(const PortQueue *q);

/* Returns: the VM that is the next to lose its port to another VM; NULL: none. */
PortClaim *port_queue_holder(const PortQueue *q);
