/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "bus-call.h"
#include "bus-listing.h"
#include "bus-news.h"
#include "console/concentrator.h"

/*
 * Bus: the concentrator on the system bus, as org.vspc.Concentrator1(5) describes it. There may be no bus,
 * it may go away, and somebody else may have the name: the concentrator works without, and is on the bus
 * again as soon as that can be. What is wrong is logged once, and once that it is well again.
 *
 * Nothing here waits for the bus: of sd-bus only what returns at once is used, so no sd_bus_call(), no
 * sd_bus_flush(), no sd_bus_query_sender_creds() and what is built on these.
 */
typedef enum BusCondition {
        BUS_UNTRIED,
        BUS_AWAY,    /* there is none, or it has ended the connection */
        BUS_REFUSED, /* it does not let us have our name */
        BUS_TAKEN,   /* somebody else has our name; we are next */
        BUS_SERVING,
} BusCondition;

/* The first and the longest pause before it is tried again */
#define BUS_RETRY_MIN_USEC (1 * USEC_PER_SEC)
#define BUS_RETRY_MAX_USEC (60 * USEC_PER_SEC)

/* What takes long is done so much at a time, and then the consoles have the loop for so long. */
#define BUS_TURN_USEC (1 * USEC_PER_MSEC)
#define BUS_REST_USEC (4 * USEC_PER_MSEC)

/* While the bus has so many messages yet to take, no signals are made for it. */
#define BUS_QUEUE_HIGH 64U

struct Bus {
        Concentrator *concentrator;
        UserNames *user_names;
        ConcentratorObserver observer;
        sd_bus *connection; /* NULL: none */
        BusCondition condition;
        Peer owner; /* of our name, in BUS_TAKEN */
        UserNameQuery owner_name;

        sd_event_source *retry_timer;
        usec_t retry_delay;

        BusNews news;
        BusListings listings;
        BusCalls calls;
};

/* Gets onto the bus as the loop runs, and stays there. @user_names: borrowed. */
int bus_new(Concentrator *c, UserNames *user_names, Bus **ret);
Bus *bus_free(Bus *b);
DEFINE_TRIVIAL_CLEANUP_FUNC(Bus *, bus_free);

/* The connection is of no use any more: another one is made after a while. @condition: BUS_AWAY or
 * BUS_REFUSED; @error: a negative errno that says why. */
void bus_fail(Bus *b, BusCondition condition, int error);

/* The bus whose method is being called, or whose object is being looked for. */
Bus *bus_current(sd_bus *connection);

/* Messages that wait to be sent */
uint64_t bus_queued(const Bus *b);

/* Whether a turn that has begun at @since (CLOCK_MONOTONIC) is over. */
static inline bool bus_turn_is_over(usec_t since) {
        return now_monotonic() - since >= BUS_TURN_USEC;
}

/* A timer, off to begin with. */
int bus_add_timer(Bus *b, sd_event_source **ret, sd_event_time_handler_t handler);
void bus_set_timer(Bus *b, sd_event_source *timer, usec_t delay);
