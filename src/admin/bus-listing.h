/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "basic/buffer.h"
#include "console/console.h"

/*
 * BusListing: an answer with all VMs in it. Of many VMs it is put together a few at a time while the loop
 * goes on, and one after the other if several are wanted, so that however many are asked for, by whom, only
 * one is in memory and the loop has its time.
 */

/* Callers that wait for such an answer, in all and of one connection */
#define BUS_LISTINGS_MAX 64U
#define BUS_LISTINGS_PER_CALLER_MAX 4U

/* The system bus throws out who sends a message of more than 32 MiB. */
#define BUS_LISTING_SIZE_MAX (31U * 1024U * 1024U)

typedef struct Bus Bus;
typedef struct BusListing BusListing;

typedef enum BusListingKind {
        BUS_LISTING_VMS,     /* ListVMs() */
        BUS_LISTING_OBJECTS, /* GetManagedObjects() */
        BUS_LISTING_NODES,   /* Introspect() of what is above the VMs' objects */
} BusListingKind;

typedef struct BusListings {
        BusListing *first; /* utlist: those that wait for an answer; the first is being made */
        unsigned n;
        sd_event_source *timer;
} BusListings;

int bus_listings_init(Bus *b);
void bus_listings_clear(Bus *b);
void bus_listings_done(Bus *b);

/* Answers @call. Returns: 1, or a negative errno. */
int bus_list(Bus *b, sd_bus_message *call, BusListingKind kind);

/* @console goes. */
void bus_listings_forget(Bus *b, const Console *console);
