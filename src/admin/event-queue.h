/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * EventQueue: messages for several readers. Each message is stored once. Each reader takes messages at its own pace, and
 * a message is freed when all readers have taken it.
 *
 * When EVENT_QUEUE_MAX bytes are queued and another message comes, the readers that have not taken the oldest message
 * fall behind: they miss all that is queued and get nothing until event_reader_catch_up() is called.
 */
#define EVENT_QUEUE_MAX (16U * 1024U * 1024U)

typedef struct Event Event;
typedef struct EventQueue EventQueue;
typedef struct EventReader EventReader;

struct Event {
        Event *next;
        unsigned n_readers; /* number of readers whose next message this is */
        uint64_t subject;   /* a number of the caller: what the message is about */
        size_t size;        /* bytes of text */
        char text[];
};

/* Embedded in its owner, all zero to begin with. */
struct EventReader {
        EventQueue *queue; /* NULL: the reader is closed */
        Event *next;       /* NULL: it has taken all messages, or has fallen behind */
        bool behind;
        EventReader *reader_prev, *reader_next; /* in EventQueue.readers */
};

/* @wake: called when a reader that had taken everything gets a message, and when a reader falls behind. It must not close
 * readers. */
struct EventQueue {
        void (*wake)(EventReader *r);
        Event *first, *last;
        size_t size; /* bytes of all messages, as they are in memory */
        EventReader *readers;
        unsigned n_readers, n_behind;
};

/* Returns: whether any reader would get a message. */
static inline bool event_queue_is_read(const EventQueue *q) {
        return q->n_readers > q->n_behind;
}

/* Must be called if a message cannot be composed: all readers fall behind. */
void event_queue_skip(EventQueue *q);

/* Adds a message. If memory is short, all readers fall behind. */
void event_queue_add(EventQueue *q, uint64_t subject, const void *text, size_t n);

/* The reader gets the messages that are added from now on. */
void event_reader_open(EventReader *r, EventQueue *q);

/* The reader falls behind: what is queued is not for it. */
void event_reader_skip(EventReader *r);

/* Does nothing if it is closed. */
void event_reader_close(EventReader *r);

/* Must be called when r->next has been taken: continues with the following message. */
void event_reader_advance(EventReader *r);

/* Ends being behind: the reader gets the messages that are added from now on. */
void event_reader_catch_up(EventReader *r);
