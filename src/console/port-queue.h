/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "basic/heap.h"
#include "basic/log.h"
#include "basic/time.h"

/*
 * PortQueue: decides which VM is the next to get a port, or a descriptor for listening at its port, and which VM is the next to
 * lose one of these. It only keeps the order: console-port.c opens and closes ports.
 *
 * Waiting VMs are served in the order of their arrival, but VMs that are away (neither connected, nor with a client) after all
 * others. They are served in short turns of the event loop.
 *
 * When descriptors run out, the VM that has been away for longest stops listening first. When all ports are taken, of the VMs
 * that have been away for PORT_QUEUE_AWAY_USEC, the one with the shortest time of being connected loses its port first. Both
 * are found in O(1); everything else takes O(log n).
 */
#define PORT_QUEUE_AWAY_USEC (3600 * USEC_PER_SEC)

/* The duration of a turn, without its last step */
#define PORT_QUEUE_TURN_USEC USEC_PER_MSEC

typedef enum PortState {
        PORT_NONE,     /* the VM has no port: VMPorts=no, it was given up for another VM, or it cannot be opened */
        PORT_AWAITED,  /* the VM waits for a port, because all are taken */
        PORT_RESERVED, /* the VM has a port, but waits for a descriptor to listen there */
        PORT_OPEN,     /* the VM listens at its port */
} PortState;

typedef struct PortFacts {
        PortState state;
        bool away;         /* neither its VM nor a client is connected */
        usec_t away_since; /* CLOCK_MONOTONIC; modulo 2^64, as it may be before the beginning of the clock */
        bool useful;       /* another VM could use its port, which is within the range */
} PortFacts;

/* The lists of waiting VMs, in the order in which they are served */
typedef enum PortList {
        PORT_LIST_NONE,
        PORT_LIST_RESERVED, /* PORT_RESERVED, not away */
        PORT_LIST_AWAITED,  /* PORT_AWAITED, not away */
        PORT_LIST_RESERVED_AWAY,
        PORT_LIST_AWAITED_AWAY,
        _PORT_LIST_MAX,
} PortList;

/* A VM in the queue; embedded in its console. All zero to begin with. Its state must be PORT_NONE before it is freed. */
typedef struct PortClaim PortClaim;
struct PortClaim {
        PortFacts facts;
        usec_t connected; /* total time of being connected; does not change while the VM is away */

        PortList list;
        PortClaim *prev, *next; /* in that list */
        HeapNode listener; /* in PortQueue.listeners */
        HeapNode holder;   /* in PortQueue.recent or PortQueue.holders */
};

typedef struct PortQueue PortQueue;

/* Serves the next VM, if possible. Returns: whether there may be more to do now. If not, *ret_retry is when to try again
 * (CLOCK_MONOTONIC). It is initially USEC_INFINITY: not before something changes. */
typedef bool (*PortQueueHandler)(PortQueue *q, usec_t *ret_retry);

struct PortQueue {
        sd_event *event; /* borrowed: it outlives the queue */
        PortQueueHandler serve;
        sd_event_source *turn; /* a timer */

        PortClaim *lists[_PORT_LIST_MAX]; /* utlists; that of PORT_LIST_NONE stays empty */
        unsigned n[_PORT_LIST_MAX];

        Heap listeners; /* VMs that are away and PORT_OPEN; the one that has been away for longest is first */
        Heap recent;    /* VMs with a port that have been away for less than PORT_QUEUE_AWAY_USEC; order as above */
        Heap holders;   /* VMs with a port that have been away for longer; the one with the least time connected is first */
        sd_event_source *grown_old; /* a timer for the first of `recent` */

        bool told_closed;      /* it has been logged that VMs do not listen at their ports */
        RateLimit closings; /* for these log lines */
};

int port_queue_init(PortQueue *q, sd_event *event, PortQueueHandler serve);
void port_queue_done(PortQueue *q);

/* Updates the queue with the present @facts about @c. */
void port_queue_update(PortQueue *q, PortClaim *c, const PortFacts *facts);

/* Must be called when a port or a descriptor may have become free: waiting VMs are served in the next loop iteration. */
void port_queue_wake(PortQueue *q);

/* Returns: the next VM that must stop listening, or NULL. */
PortClaim *port_queue_listener(const PortQueue *q);

/* Returns: the next VM that must give up its port for another VM, or NULL. */
PortClaim *port_queue_holder(const PortQueue *q);
