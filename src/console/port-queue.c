/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "basic/timeout-queue.h"
#include "port-queue.h"

static bool is_longer_away(const PortClaim *a, const PortClaim *b) {
        return (int64_t) (a->facts.away_since - b->facts.away_since) < 0;
}

static bool listener_precedes(const HeapNode *a, const HeapNode *b) {
        return is_longer_away(container_of(a, PortClaim, listener), container_of(b, PortClaim, listener));
}

static bool recent_precedes(const HeapNode *a, const HeapNode *b) {
        return is_longer_away(container_of(a, PortClaim, holder), container_of(b, PortClaim, holder));
}

static bool holder_precedes(const HeapNode *a, const HeapNode *b) {
        const PortClaim *x = container_of(a, PortClaim, holder), *y = container_of(b, PortClaim, holder);

        return x->connected != y->connected ? x->connected < y->connected : is_longer_away(x, y);
}

static void port_queue_set_turn(PortQueue *q, usec_t when) {
        (void) sd_event_source_set_time(q->turn, when);
        (void) sd_event_source_set_enabled(q->turn, when == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

void port_queue_wake(PortQueue *q) {
        for (PortList list = 0; list < _PORT_LIST_MAX; list++)
                if (q->lists[list]) {
                        port_queue_set_turn(q, 0);
                        return;
                }
}

static int on_turn(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        PortQueue *q = userdata;
        usec_t began = now_monotonic(), retry = USEC_INFINITY;

        while (q->serve(q, &retry))
                if (now_monotonic() - began >= PORT_QUEUE_TURN_USEC) {
                        retry = 0;
                        break;
                }

        port_queue_set_turn(q, retry);
        return 0;
}

static bool is_away_for_long(const PortQueue *q, const PortClaim *c) {
        return (int64_t) (event_now(q->event) - c->facts.away_since) >= (int64_t) PORT_QUEUE_AWAY_USEC;
}

/* Sets the timer for the first VM in `recent`. It is not changed when that VM comes back: if it elapses too early, it is set
 * again. */
static void port_queue_watch_recent(PortQueue *q) {
        const HeapNode *first = heap_first(&q->recent);
        if (!first)
                return;

        const PortClaim *c = container_of(first, PortClaim, holder);
        (void) sd_event_source_set_time(q->grown_old, c->facts.away_since + PORT_QUEUE_AWAY_USEC);
        (void) sd_event_source_set_enabled(q->grown_old, SD_EVENT_ONESHOT);
}

static int on_grown_old(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        PortQueue *q = userdata;
        usec_t began = now_monotonic();

        for (HeapNode *first; (first = heap_first(&q->recent)); ) {
                if (!is_away_for_long(q, container_of(first, PortClaim, holder)) ||
                    now_monotonic() - began >= PORT_QUEUE_TURN_USEC)
                        break;

                heap_remove(&q->recent, first);
                (void) heap_add(&q->holders, first); /* if memory is short, the VM keeps its port */
        }

        port_queue_watch_recent(q);
        port_queue_wake(q);
        return 0;
}

int port_queue_init(PortQueue *q, sd_event *event, PortQueueHandler serve) {
        *q = (PortQueue){.event = event, .serve = serve};
        heap_init(&q->listeners, listener_precedes);
        heap_init(&q->recent, recent_precedes);
        heap_init(&q->holders, holder_precedes);

        /* A timer has its turn among other sources. A deferred source that is enabled again and again would always come first. */
        int r = sd_event_add_time(event, &q->turn, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_turn, q);
        if (r >= 0)
                r = sd_event_source_set_enabled(q->turn, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &q->grown_old, CLOCK_MONOTONIC, 0, USEC_PER_SEC, on_grown_old, q);
        if (r >= 0)
                r = sd_event_source_set_enabled(q->grown_old, SD_EVENT_OFF);

        return r;
}

void port_queue_done(PortQueue *q) {
        q->turn = sd_event_source_disable_unref(q->turn);
        q->grown_old = sd_event_source_disable_unref(q->grown_old);
        heap_done(&q->listeners);
        heap_done(&q->recent);
        heap_done(&q->holders);
}

static PortList list_for(const PortFacts *f) {
        switch (f->state) {
        case PORT_RESERVED:
                return f->away ? PORT_LIST_RESERVED_AWAY : PORT_LIST_RESERVED;
        case PORT_AWAITED:
                return f->away ? PORT_LIST_AWAITED_AWAY : PORT_LIST_AWAITED;
        default:
                return PORT_LIST_NONE;
        }
}

/* A VM that stays in its list keeps its place there. */
static void port_queue_settle_list(PortQueue *q, PortClaim *c) {
        PortList before = c->list;

        c->list = list_for(&c->facts);
        if (c->list == before)
                return;

        if (before != PORT_LIST_NONE) {
                DL_DELETE(q->lists[before], c);
                q->n[before]--;
        }
        if (c->list != PORT_LIST_NONE) {
                DL_APPEND(q->lists[c->list], c);
                q->n[c->list]++;
                port_queue_wake(q);
        }
}

/* If memory for the heap is short, the VM never stops listening. */
static void port_queue_settle_listener(PortQueue *q, PortClaim *c) {
        if (!c->facts.away || c->facts.state != PORT_OPEN)
                heap_remove(&q->listeners, &c->listener);
        else if (c->listener.place == 0)
                (void) heap_add(&q->listeners, &c->listener);
}

static void port_queue_forget_holder(PortQueue *q, PortClaim *c) {
        size_t i = c->holder.place - 1;
        bool recent = c->holder.place > 0 && i < q->recent.n && q->recent.nodes[i] == &c->holder;

        heap_remove(recent ? &q->recent : &q->holders, &c->holder);
}

/* If memory for the heap is short, the VM keeps its port. */
static void port_queue_settle_holder(PortQueue *q, PortClaim *c) {
        bool has_port = c->facts.state == PORT_RESERVED || c->facts.state == PORT_OPEN;

        if (!c->facts.away || !has_port || !c->facts.useful) {
                port_queue_forget_holder(q, c);
                return;
        }

        if (c->holder.place > 0)
                return;

        if (is_away_for_long(q, c)) {
                (void) heap_add(&q->holders, &c->holder);
                port_queue_wake(q);
        } else if (heap_add(&q->recent, &c->holder) >= 0 && heap_first(&q->recent) == &c->holder)
                port_queue_watch_recent(q);
}

void port_queue_update(PortQueue *q, PortClaim *c, const PortFacts *facts) {
        const PortFacts *f = &c->facts;

        if (f->state == facts->state && f->away == facts->away && f->away_since == facts->away_since &&
            f->useful == facts->useful)
                return;

        if (f->away_since != facts->away_since) { /* its places in the heaps are outdated */
                heap_remove(&q->listeners, &c->listener);
                port_queue_forget_holder(q, c);
        }

        c->facts = *facts;
        port_queue_settle_list(q, c);
        port_queue_settle_listener(q, c);
        port_queue_settle_holder(q, c);
}

PortClaim *port_queue_listener(const PortQueue *q) {
        HeapNode *first = heap_first(&q->listeners);

        return first ? container_of(first, PortClaim, listener) : NULL;
}

PortClaim *port_queue_holder(const PortQueue *q) {
        HeapNode *first = heap_first(&q->holders);

        return first ? container_of(first, PortClaim, holder) : NULL;
}
