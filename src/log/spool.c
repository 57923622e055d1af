/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/resource.h>
#include <time.h>
#include <utlist.h>

#include "spool.h"

/* After each round the thread rests, so that it is woken, and the loop pre-empted, two hundred times a second
 * at most and not for each line of thousands of VMs. */
#define REST_USEC (5 * USEC_PER_MSEC)

/* So much of one stream does not wait for the end of the rest: there would soon be no room for more. */
#define STREAM_URGENT (SPOOL_STREAM_MAX / 4)

/* What is written late is written all the same; what is shown late is felt. Consoles go first when processors
 * are short. */
#define THREAD_NICE 5

static struct timespec timespec_at(usec_t t) {
        return (struct timespec){
                .tv_sec = (time_t) (t / USEC_PER_SEC),
                .tv_nsec = (long) (t % USEC_PER_SEC) * 1000,
        };
}

/* With the lock held. */
static void wait_until(Spool *s, usec_t deadline) {
        if (deadline == USEC_INFINITY) {
                pthread_cond_wait(&s->changed, &s->lock);
                return;
        }

        struct timespec until = timespec_at(deadline);
        (void) pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

static void wake(Spool *s) {
        pthread_cond_broadcast(&s->changed);
        s->sleeping = s->resting = false;
}

static void enqueue(Spool *s, SpoolStream *stream) {
        if (stream->queued)
                return;

        DL_APPEND(s->queue, stream);
        s->n_queued++;
        stream->queued = true;
}

/* Up to now: whatever came while what is before the gap was being written belongs to it. */
static void write_gap(Spool *s, SpoolStream *stream) {
        pthread_mutex_lock(&s->lock);
        uint64_t n = TAKE(stream->n_dropped, 0);
        pthread_mutex_unlock(&s->lock);

        s->sink->gap(s, stream, n);
}

/* With the lock held, but not while the sink is at work. */
static void write_next(Spool *s) {
        SpoolStream *stream = s->queue;
        Buffer data = TAKE(stream->pending, BUFFER_INIT(SPOOL_STREAM_MAX));
        bool ended = stream->ended, has_gap = stream->n_dropped > 0;
        size_t used = data.size, cost = ended ? stream->cost : 0;

        DL_DELETE(s->queue, stream);
        s->n_queued--;
        stream->queued = false;
        pthread_mutex_unlock(&s->lock);

        if (data.size > 0)
                s->sink->write(s, stream, buffer_data(&data), data.size);
        if (has_gap)
                write_gap(s, stream);
        if (ended)
                s->sink->end(s, stream);
        buffer_clear(&data);

        /* It counts until it is written: the bound is one of memory. */
        pthread_mutex_lock(&s->lock);
        s->used -= used;
        s->cost -= cost;
}

static usec_t call_idle(Spool *s) {
        pthread_mutex_unlock(&s->lock);
        usec_t deadline = s->sink->idle(s, now_monotonic());
        pthread_mutex_lock(&s->lock);

        return deadline;
}

static void rest(Spool *s) {
        usec_t until = now_monotonic() + REST_USEC;

        s->resting = true;
        while (s->resting && !s->stopping && now_monotonic() < until)
                wait_until(s, until);
        s->resting = false;
}

static void sleep_until(Spool *s, usec_t deadline) {
        s->sleeping = true;
        while (!s->queue && !s->poked && !s->stopping && now_monotonic() < deadline)
                wait_until(s, deadline);
        s->sleeping = s->poked = false;
}

static void *run(void *userdata) {
        Spool *s = userdata;

        (void) setpriority(PRIO_PROCESS, (id_t) gettid(), THREAD_NICE);

        pthread_mutex_lock(&s->lock);
        while (!s->stopping || s->queue) {
                for (size_t n = s->n_queued; n > 0; n--)
                        write_next(s);

                usec_t deadline = call_idle(s);
                rest(s);
                sleep_until(s, deadline);
        }

        s->running = false;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        return NULL;
}

static int init_condition(pthread_cond_t *condition) {
        pthread_condattr_t attributes;

        int r = pthread_condattr_init(&attributes);
        if (r != 0)
                return -r;

        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        r = pthread_cond_init(condition, &attributes);
        pthread_condattr_destroy(&attributes);
        return -r;
}

int spool_start(Spool *s, const SpoolSink *sink) {
        s->sink = sink;
        pthread_mutex_init(&s->lock, NULL);
        int r = init_condition(&s->changed);
        if (r < 0)
                return r;

        s->running = true;
        r = pthread_create(&s->thread, NULL, run, s);
        if (r != 0) {
                s->running = false;
                return -r;
        }

        (void) pthread_setname_np(s->thread, sink->thread_name);
        return 0;
}

void spool_stop(Spool *s) {
        pthread_mutex_lock(&s->lock);
        s->stopping = true;
        wake(s);
        pthread_mutex_unlock(&s->lock);
}

int spool_join(Spool *s, usec_t deadline) {
        pthread_mutex_lock(&s->lock);
        while (s->running && now_monotonic() < deadline)
                wait_until(s, deadline);
        bool hangs = s->running;
        pthread_mutex_unlock(&s->lock);

        if (hangs) {
                pthread_detach(s->thread);
                return -ETIMEDOUT;
        }

        pthread_join(s->thread, NULL);
        pthread_cond_destroy(&s->changed);
        pthread_mutex_destroy(&s->lock);
        return 0;
}

static size_t room(const Spool *s, const SpoolStream *stream) {
        size_t most = MIN((size_t) SPOOL_STREAM_MAX, (SPOOL_MAX - s->used) / SPOOL_SHARE);

        return most > stream->pending.size ? most - stream->pending.size : 0;
}

int spool_open(Spool *s, SpoolStream *stream, size_t cost) {
        int r = -ENOBUFS;

        pthread_mutex_lock(&s->lock);
        if (cost <= SPOOL_STREAMS_MAX - s->cost) {
                s->cost += cost;
                stream->cost = cost;
                stream->pending = BUFFER_INIT(SPOOL_STREAM_MAX);
                r = 0;
        }
        pthread_mutex_unlock(&s->lock);

        return r;
}

void spool_put(Spool *s, SpoolStream *stream, const uint8_t *data, size_t n) {
        pthread_mutex_lock(&s->lock);

        /* Once something is missing, all is until the thread has said so. */
        size_t taken = stream->n_dropped > 0 ? 0 : MIN(n, room(s, stream));
        if (buffer_append(&stream->pending, data, taken) < 0)
                taken = 0;
        stream->n_dropped += n - taken;
        s->used += taken;

        enqueue(s, stream);
        if (s->sleeping || (s->resting && stream->pending.size >= STREAM_URGENT))
                wake(s);

        pthread_mutex_unlock(&s->lock);
}

void spool_end(Spool *s, SpoolStream *stream) {
        pthread_mutex_lock(&s->lock);
        stream->ended = true;
        enqueue(s, stream);
        if (s->sleeping)
                wake(s);
        pthread_mutex_unlock(&s->lock);
}

void spool_poke(Spool *s) {
        pthread_mutex_lock(&s->lock);
        s->poked = true;
        if (s->sleeping)
                wake(s);
        pthread_mutex_unlock(&s->lock);
}

bool spool_has_more(Spool *s, const SpoolStream *stream) {
        pthread_mutex_lock(&s->lock);
        bool more = stream->queued;
        pthread_mutex_unlock(&s->lock);

        return more;
}
