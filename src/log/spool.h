/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>

#include "basic/buffer.h"
#include "basic/time.h"

/*
 * Spool: takes bytes from the event loop to a thread that may block, from any number of streams. The loop never
 * waits for the thread: what it says is copied into the stream's buffer, and what has no room there is dropped
 * and counted. The thread takes the streams in the order in which they had something to say.
 *
 * Once something has been dropped nothing more is taken until all that came before has been written: however long a
 * write takes there is one gap, and it is known then how large it is.
 *
 * All streams together hold at most SPOOL_MAX, and one of them at most SPOOL_STREAM_MAX, or one part in SPOOL_SHARE of
 * what is left if that is less, so that a thousand VMs that shout leave room for one that whispers. Their own memory
 * has a bound apart, so that many that say little leave room for those that say much.
 */
#define SPOOL_MAX (64U * 1024U * 1024U)
#define SPOOL_STREAMS_MAX (64U * 1024U * 1024U)
#define SPOOL_STREAM_MAX (256U * 1024U)
#define SPOOL_SHARE 16U

typedef struct Spool Spool;
typedef struct SpoolStream SpoolStream;

/* What becomes of it. All of this happens in the thread. */
typedef struct SpoolSink {
        const char *thread_name; /* at most 15 characters */

        /* The next bytes of the stream. */
        void (*write)(Spool *s, SpoolStream *stream, const uint8_t *data, size_t n);

        /* Here @n bytes are missing. */
        void (*gap)(Spool *s, SpoolStream *stream, uint64_t n);

        /* Nothing more will come: frees the stream. */
        void (*end)(Spool *s, SpoolStream *stream);

        /* Called when the thread has nothing else to do for the moment, and at least once in a round of the
         * streams. Returns: when at the latest it wants to be called again. */
        usec_t (*idle)(Spool *s, usec_t now);
} SpoolSink;

/* Embedded in what the sink knows of it. */
struct SpoolStream {
        SpoolStream *prev, *next; /* in the queue */
        Buffer pending;
        uint64_t n_dropped; /* behind what is pending, or being written if nothing is */
        size_t cost;        /* bytes that it takes by itself */
        bool queued, ended;
};

/* Embedded in its owner. */
struct Spool {
        const SpoolSink *sink;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t changed;

        SpoolStream *queue; /* utlist: those that have something to say */
        size_t n_queued;
        size_t used;   /* bytes, of SPOOL_MAX */
        size_t cost;   /* bytes, of SPOOL_STREAMS_MAX */
        bool running;  /* there is a thread */
        bool sleeping; /* it waits for something to do */
        bool resting;  /* it waits a moment for more to come together, unless there is much already */
        bool poked, stopping;
};

/* Starts the thread. */
int spool_start(Spool *s, const SpoolSink *sink);

/* Has the thread end once all is written. */
void spool_stop(Spool *s);

/* Waits until it has. Returns: 0, or -ETIMEDOUT if it hangs in a write at @deadline: then it is left behind,
 * to go with the process, and what belongs to @s must be left to it. */
int spool_join(Spool *s, usec_t deadline);

/* A new stream, all zero so far, that takes @cost bytes of memory. Returns: 0, or -ENOBUFS. */
int spool_open(Spool *s, SpoolStream *stream, size_t cost);
void spool_put(Spool *s, SpoolStream *stream, const uint8_t *data, size_t n);

/* The stream belongs to the thread from now on. */
void spool_end(Spool *s, SpoolStream *stream);

/* Has idle() called soon. */
void spool_poke(Spool *s);

/* In the thread: whether more of the stream is to come at once. */
bool spool_has_more(Spool *s, const SpoolStream *stream);
