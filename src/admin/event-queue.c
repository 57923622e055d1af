/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "event-queue.h"

static void queue_pop(EventQueue *q) {
        Event *e = q->first;

        q->first = e->next;
        if (!q->first)
                q->last = NULL;
        q->size -= sizeof *e + e->size;
        free(e);
}

/* Frees messages up to the first one that is the next message of any reader. */
static void queue_free_taken(EventQueue *q) {
        while (q->first && q->first->n_readers == 0)
                queue_pop(q);
}

static void reader_leave_message(EventReader *r) {
        if (r->next)
                r->next->n_readers--;
        r->next = NULL;
}

static void reader_fall_behind(EventReader *r) {
        reader_leave_message(r);
        r->behind = true;
        r->queue->n_behind++;
        r->queue->wake(r);
}

static void queue_drop_oldest(EventQueue *q) {
        EventReader *r;

        DL_FOREACH2(q->readers, r, reader_next)
                if (r->next == q->first)
                        reader_fall_behind(r);
        queue_free_taken(q);
}

void event_queue_skip(EventQueue *q) {
        EventReader *r;

        DL_FOREACH2(q->readers, r, reader_next)
                if (!r->behind)
                        reader_fall_behind(r);
        queue_free_taken(q);
}

void event_queue_add(EventQueue *q, uint64_t subject, const void *text, size_t n) {
        size_t size = sizeof(Event) + n;
        EventReader *r;

        while (q->first && q->size + size > EVENT_QUEUE_MAX)
                queue_drop_oldest(q);
        if (!event_queue_is_read(q))
                return;

        Event *e = malloc(size);
        if (!e) {
                event_queue_skip(q);
                return;
        }

        *e = (Event){.subject = subject, .size = n};
        memcpy(e->text, text, n);
        if (q->last)
                q->last->next = e;
        else
                q->first = e;
        q->last = e;
        q->size += size;

        DL_FOREACH2(q->readers, r, reader_next)
                if (!r->next && !r->behind) {
                        r->next = e;
                        e->n_readers++;
                        q->wake(r);
                }
}

void event_reader_open(EventReader *r, EventQueue *q) {
        *r = (EventReader){.queue = q};
        DL_APPEND2(q->readers, r, reader_prev, reader_next);
        q->n_readers++;
}

void event_reader_skip(EventReader *r) {
        if (!r->behind)
                reader_fall_behind(r);
        queue_free_taken(r->queue);
}

void event_reader_close(EventReader *r) {
        EventQueue *q = r->queue;

        if (!q)
                return;

        reader_leave_message(r);
        DL_DELETE2(q->readers, r, reader_prev, reader_next);
        q->n_readers--;
        q->n_behind -= r->behind;
        r->queue = NULL;
        queue_free_taken(q);
}

void event_reader_advance(EventReader *r) {
        Event *e = r->next;

        e->n_readers--;
        r->next = e->next;
        if (r->next)
                r->next->n_readers++;
        queue_free_taken(r->queue);
}

void event_reader_catch_up(EventReader *r) {
        if (TAKE(r->behind, false))
                r->queue->n_behind--;
}
