/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "bus-call.h"
#include "bus-listing.h"
#include "bus-news.h"
#include "console/concentrator.h"

/*
 * Bus: the concentrator's service on the system bus (see org.vspc.Concentrator1(5)). There may be no bus, the bus may go away,
 * or another process may own our name: vspcd works without the bus, and tries again until it can connect. A failure is logged
 * once, and so is its end.
 *
 * Nothing waits for the bus: only functions of sd-bus that do not block are used, so neither sd_bus_call(), sd_bus_flush(),
 * sd_bus_query_sender_creds(), nor functions that call these.
 */
typedef enum BusCondition {
        BUS_UNTRIED,
        BUS_AWAY,    /* there is no bus, or the connection has ended */
        BUS_REFUSED, /* the bus's policy does not permit us to own our name */
        BUS_TAKEN,   /* another process owns our name; we are queued for it */
        BUS_SERVING,
} BusCondition;

/* The first and the longest pause between attempts to connect */
#define BUS_RETRY_MIN_USEC (1 * USEC_PER_SEC)
#define BUS_RETRY_MAX_USEC (60 * USEC_PER_SEC)

/* Long work is done in turns of at most this time, with this pause in between for the rest of the event loop. */
#define BUS_TURN_USEC (1 * USEC_PER_MSEC)
#define BUS_REST_USEC (4 * USEC_PER_MSEC)

/* While so many messages wait to be sent, no signals are created. */
#define BUS_QUEUE_HIGH 64U

struct Bus {
        Concentrator *concentrator;
        UserNames *user_names;
        ConcentratorObserver observer;
        sd_bus *connection; /* NULL: not connected */
        BusCondition condition;
        bool restricted; /* not all local users may list all VMs, so only people who may do everything are served */
        Peer owner; /* of our name, in BUS_TAKEN */
        UserNameQuery owner_name;

        sd_event_source *retry_timer;
        usec_t retry_delay;

        BusNews news;
        BusListings listings;
        BusCalls calls;
};

/* Connects from the event loop, and reconnects. @user_names: borrowed. Returns: 0 or a negative errno. */
int bus_new(Concentrator *c, UserNames *user_names, Bus **ret);
Bus *bus_free(Bus *b);
DEFINE_TRIVIAL_CLEANUP_FUNC(Bus *, bus_free);

/* Must be called when rights have changed. */
void bus_rights_changed(Bus *b);

/* Closes the connection. After a while another one is made. @condition: BUS_AWAY or BUS_REFUSED. @error: a negative errno that
 * says why. */
void bus_fail(Bus *b, BusCondition condition, int error);

/* Returns: the Bus whose method is being called or whose object is being looked up. */
Bus *bus_current(sd_bus *connection);

/* Returns: the number of messages that wait to be sent. */
uint64_t bus_queued(const Bus *b);

/* Returns: whether a turn that began at @since (CLOCK_MONOTONIC) is over. */
static inline bool bus_turn_is_over(usec_t since) {
        return now_monotonic() - since >= BUS_TURN_USEC;
}

/* Adds a timer, which is off at first. bus_set_timer(): makes it elapse once after @delay. */
int bus_add_timer(Bus *b, sd_event_source **ret, sd_event_time_handler_t handler);
void bus_set_timer(Bus *b, sd_event_source *timer, usec_t delay);
