/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "basic/macro.h"
#include "basic/timeout-queue.h"

/*
 * Poller: the sockets of the event loop, any number of them behind one sd-event source.
 *
 * Why not one sd-event source a socket: sd-event dispatches one source an iteration and asks the kernel for
 * the whole ready set at each, so a storm in which thousands of sockets are ready at once costs thousands of
 * times thousands. The poller has an epoll set of its own, takes a bounded batch from it and dispatches all of
 * that, and sd-event still has its turn for timers, signals and the watchdog after each batch.
 *
 * Level-triggered. A Watch is embedded in its object and may be removed, and the object freed, from within any
 * handler, its own included.
 */
typedef struct Poller Poller;
typedef struct Watch Watch;

/* @events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as in epoll_ctl(2) */
typedef void (*WatchHandler)(Watch *watch, uint32_t events);

struct Watch {
        int fd;
        uint32_t events; /* what is watched for; 0: not in the set, nor are hang-ups and errors reported */
        WatchHandler handler;

        bool deferred;
        Watch *prev, *next; /* of those that are deferred */
};

int poller_new(sd_event *event, Poller **ret);
Poller *poller_free(Poller *p);
DEFINE_TRIVIAL_CLEANUP_FUNC(Poller *, poller_free);

sd_event *poller_event(Poller *p);

/* For the Liveness of connections. */
TimeoutQueue *poller_liveness(Poller *p);

/* Has @handler called after each batch of sockets. */
typedef void (*PollerBatchHandler)(void *userdata);
void poller_set_batch_handler(Poller *p, PollerBatchHandler handler, void *userdata);

/* Whether a batch is under way, after which that handler will be called. */
bool poller_is_dispatching(const Poller *p);

/* Watches for @events from now on. Returns: 0 or a negative errno (then nothing has changed). */
int poller_watch(Poller *p, Watch *w, uint32_t events);

/* Calls the handler of @w once, without an event, after the sockets that are ready now have had their turn: for a connection
 * that has something to be read of which the kernel does not know. */
void poller_defer(Poller *p, Watch *w);

/* Forgets @w: it gets no event any more, not even one already taken from the kernel. */
void poller_forget(Poller *p, Watch *w);

/* Closes its descriptor and forgets it. */
void poller_close(Poller *p, Watch *w);
