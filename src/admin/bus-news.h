/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "basic/hash-table.h"
#include "console/console.h"

/*
 * BusNews: the signals about VMs on D-Bus. Changes of a VM are collected for BUS_NEWS_DELAY_USEC and told together, so that
 * there are at most four signals a second about each VM. Signals about many VMs are sent in short turns.
 *
 * This is not done with EventQueue, which has the events for Varlink: a caller of Monitor gets each event in order, with the
 * state at that time, but a signal on D-Bus has the present state, and merges everything that has happened since the last one.
 */
#define BUS_NEWS_DELAY_USEC (250 * USEC_PER_MSEC)

/* If signals about more removed VMs than this wait, the connection to the bus is closed: its users read everything again after
 * vspcd has reconnected. */
#define BUS_NEWS_GONE_MAX 65536U

typedef struct Bus Bus;
typedef struct BusNewsItem BusNewsItem;

typedef struct BusNews {
        BusNewsItem *by_id;  /* uthash */
        BusNewsItem *oldest; /* utlist */
        unsigned n_gone;     /* items whose VM has been removed */
        usec_t counts_since; /* since when changed counts of VMs and clients wait (CLOCK_MONOTONIC); 0: no change */
        sd_event_source *timer;
} BusNews;

int bus_news_init(Bus *b);
void bus_news_clear(Bus *b);
void bus_news_done(Bus *b);

/* Adds an event. Returns: 0; or a negative errno if memory is short or too many signals wait. */
int bus_news_add(Bus *b, const Console *console, ConsoleEvent event);
