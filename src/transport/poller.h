/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "basic/macro.h"
#include "basic/timeout-queue.h"

/*
 * Poller: watches any number of sockets with a single sd-event source.
 *
 * There is not one sd-event source for each socket, because sd-event handles one source in each iteration, and asks the kernel
 * for all ready sources in each. If thousands of sockets are ready at once, that takes time proportional to the square of
 * their number. The poller has an epoll set of its own. In each iteration it takes a bounded batch of ready sockets and
 * handles all of them; after each batch sd-event handles timers, signals and the watchdog.
 *
 * Level-triggered. A Watch is embedded in its object. Any handler, also that of the Watch itself, may remove the Watch and
 * free the object.
 */
typedef struct Poller Poller;
typedef struct Watch Watch;

/* @events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as in epoll_ctl(2) */
typedef void (*WatchHandler)(Watch *watch, uint32_t events);

struct Watch {
        int fd;
        uint32_t events; /* that are watched for; 0: it is not in the epoll set, so hang-ups and errors are not reported either */
        WatchHandler handler;

        bool deferred;
        Watch *prev, *next; /* in the list of deferred ones */
};

int poller_new(sd_event *event, Poller **ret);
Poller *poller_free(Poller *p);
DEFINE_TRIVIAL_CLEANUP_FUNC(Poller *, poller_free);

sd_event *poller_event(Poller *p);

/* Returns: the queue for the Liveness of connections. */
TimeoutQueue *poller_liveness(Poller *p);

/* Sets a handler that is called after each batch of sockets. */
typedef void (*PollerBatchHandler)(void *userdata);
void poller_set_batch_handler(Poller *p, PollerBatchHandler handler, void *userdata);

/* Returns: whether a batch is being handled, so that the batch handler will be called afterwards. */
bool poller_is_dispatching(const Poller *p);

/* Watches for @events from now on. Returns: 0; or a negative errno, and nothing has changed. */
int poller_watch(Poller *p, Watch *w, uint32_t events);

/* Calls the handler of @w once, without an event, after the sockets that are ready now: for a connection whose data is not in
 * the socket but in our memory (buffered by GnuTLS). */
void poller_defer(Poller *p, Watch *w);

/* Forgets @w: its handler is not called any more, not even for an event that was already taken from the kernel. */
void poller_forget(Poller *p, Watch *w);

/* Forgets @w and closes its descriptor. */
void poller_close(Poller *p, Watch *w);
