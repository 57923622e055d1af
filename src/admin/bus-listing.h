/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "basic/buffer.h"
#include "console/console.h"

/*
 * BusListing: an answer that contains all VMs. It is composed in short turns, so that many VMs do not delay the event loop.
 * Listings are composed one after the other, so that only one of them is in memory, even if there are many callers.
 */

/* The maximum of waiting calls, in total and of one connection */
#define BUS_LISTINGS_MAX 64U
#define BUS_LISTINGS_PER_CALLER_MAX 4U

/* The maximum size of an answer in bytes: the system bus disconnects a client that sends a message of more than 32 MiB. */
#define BUS_LISTING_SIZE_MAX (31U * 1024U * 1024U)

typedef struct Bus Bus;
typedef struct BusListing BusListing;

typedef enum BusListingKind {
        BUS_LISTING_VMS,     /* ListVMs() */
        BUS_LISTING_OBJECTS, /* GetManagedObjects() */
        BUS_LISTING_NODES,   /* Introspect() of the object above the VMs */
} BusListingKind;

typedef struct BusListings {
        BusListing *first; /* utlist: the first one is being composed, the others wait */
        unsigned n;
        sd_event_source *timer;
} BusListings;

int bus_listings_init(Bus *b);
void bus_listings_clear(Bus *b);
void bus_listings_done(Bus *b);

/* Answers @call later. Returns: 1 or a negative errno. */
int bus_list(Bus *b, sd_bus_message *call, BusListingKind kind);

/* Must be called before @console is removed. */
void bus_listings_forget(Bus *b, const Console *console);
