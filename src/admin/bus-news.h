/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "basic/hash-table.h"
#include "console/console.h"

/*
 * BusNews: what has happened to VMs and is yet to be told on the bus. Changes to a VM are gathered for a
 * while, so that there are at most four signals a second about each, and thousands of VMs that come at once
 * are told of a few at a time.
 */
#define BUS_NEWS_DELAY_USEC (250 * USEC_PER_MSEC)

/* VMs that have gone without the bus taking the news of it. Then it is given up: who comes back to it asks
 * anew. */
#define BUS_NEWS_GONE_MAX 65536U

typedef struct Bus Bus;
typedef struct BusNewsItem BusNewsItem;

typedef struct BusNews {
        BusNewsItem *by_id;  /* uthash */
        BusNewsItem *oldest; /* utlist */
        unsigned n_gone;     /* of those whose VM has gone */
        usec_t counts_since; /* like BusNewsItem.since, of the counts of VMs and clients; 0: no change */
        sd_event_source *timer;
} BusNews;

int bus_news_init(Bus *b);
void bus_news_clear(Bus *b);
void bus_news_done(Bus *b);

/* Returns: 0, or a negative errno if it cannot be told. */
int bus_news_add(Bus *b, const Console *console, ConsoleEvent event);
