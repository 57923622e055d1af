/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The way from the event loop to a thread that may block: whatever the thread does, the loop does not wait for
 * it, memory is bounded, and every byte is written or counted, in order.
 */

#include "harness.h"

#include "log/spool.h"
#include "prng.h"

/* A sink that can be held up, as by a disk that hangs. */
typedef struct Sink {
        Spool spool;
        pthread_mutex_t gate[2]; /* whoever holds them holds it up: each write has to pass one, taking turns */
        uint64_t n_entered;   /* atomic, as all that follows and what is in a Stream: writes begun */
        uint64_t n_ended;
} Sink;

typedef struct Stream {
        SpoolStream spool;
        uint64_t n_written, n_missing, n_gaps;
        uint8_t next; /* bytes count up: the one that is expected */
        bool ordered;
} Stream;

#define LOAD(v) __atomic_load_n(&(v), __ATOMIC_ACQUIRE)
#define ADD(v, n) ((void) __atomic_add_fetch(&(v), (n), __ATOMIC_RELEASE))

static void on_write(Spool *spool, SpoolStream *spool_stream, const uint8_t *data, size_t n) {
        Sink *sink = container_of(spool, Sink, spool);
        Stream *stream = container_of(spool_stream, Stream, spool);

        pthread_mutex_t *gate = &sink->gate[LOAD(sink->n_entered) % 2];
        ADD(sink->n_entered, 1);
        pthread_mutex_lock(gate);
        pthread_mutex_unlock(gate);

        for (size_t i = 0; i < n; i++)
                stream->ordered &= data[i] == stream->next++;
        ADD(stream->n_written, n);
}

static void on_gap(_unused_ Spool *spool, SpoolStream *spool_stream, uint64_t n) {
        Stream *stream = container_of(spool_stream, Stream, spool);

        stream->next += (uint8_t) n;
        ADD(stream->n_missing, n);
        ADD(stream->n_gaps, 1);
}

static void on_end(Spool *spool, _unused_ SpoolStream *stream) {
        ADD(container_of(spool, Sink, spool)->n_ended, 1);
}

static usec_t on_idle(_unused_ Spool *spool, _unused_ usec_t now) {
        return USEC_INFINITY;
}

static void sink_start(Sink *s) {
        static const SpoolSink sink = {"test-spool", on_write, on_gap, on_end, on_idle};

        *s = (Sink){.gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER}};
        assert_int_equal(spool_start(&s->spool, &sink), 0);
}

static void hold(Sink *s) {
        for (size_t i = 0; i < ELEMENTSOF(s->gate); i++)
                pthread_mutex_lock(&s->gate[i]);
}

static void release(Sink *s) {
        for (size_t i = 0; i < ELEMENTSOF(s->gate); i++)
                pthread_mutex_unlock(&s->gate[i]);
}

static void sink_stop(Sink *s) {
        spool_stop(&s->spool);
        assert_int_equal(spool_join(&s->spool, now_monotonic() + 60 * USEC_PER_SEC), 0);
        assert_int_equal(s->spool.used, 0);
}

static void stream_open(Sink *s, Stream *stream) {
        *stream = (Stream){.ordered = true};
        assert_int_equal(spool_open(&s->spool, &stream->spool, sizeof *stream), 0);
}

/* Puts @n bytes that go on where the last ones ended. */
static void put(Sink *s, Stream *stream, uint64_t *position, size_t n) {
        uint8_t data[65536];

        while (n > 0) {
                size_t k = MIN(n, sizeof data);

                for (size_t i = 0; i < k; i++)
                        data[i] = (uint8_t) ((*position)++);
                spool_put(&s->spool, &stream->spool, data, k);
                n -= k;
        }
}

static void assert_complete(const Stream *stream, uint64_t n) {
        assert_true(stream->ordered);
        assert_int_equal(stream->n_written + stream->n_missing, n);
}

static void test_what_is_put_is_written_in_order(_unused_ void **state) {
        Prng random = prng_init();
        uint64_t position[8] = {};
        Stream streams[8];
        Sink s;

        sink_start(&s);
        for (size_t i = 0; i < ELEMENTSOF(streams); i++)
                stream_open(&s, &streams[i]);
        for (unsigned k = 0; k < 20000; k++) {
                size_t i = prng_below(&random, ELEMENTSOF(streams));

                put(&s, &streams[i], &position[i], prng_below(&random, 50));
        }
        for (size_t i = 0; i < ELEMENTSOF(streams); i++)
                spool_end(&s.spool, &streams[i].spool);
        sink_stop(&s);

        assert_int_equal(s.n_ended, ELEMENTSOF(streams));
        for (size_t i = 0; i < ELEMENTSOF(streams); i++) {
                assert_complete(&streams[i], position[i]);
                assert_int_equal(streams[i].n_missing, 0);
        }
}

static void test_a_sink_that_hangs_costs_what_does_not_fit_and_nobody_waits(_unused_ void **state) {
        uint64_t position = 0, other = 0;
        Stream stream, quiet;
        Sink s;

        sink_start(&s);
        stream_open(&s, &stream);
        stream_open(&s, &quiet);
        hold(&s);
        put(&s, &stream, &position, 64U * 1024 * 1024);
        put(&s, &quiet, &other, 1000);
        assert_in_range(s.spool.used, SPOOL_STREAM_MAX, 2 * SPOOL_STREAM_MAX + 65536);
        release(&s);

        spool_end(&s.spool, &stream.spool);
        spool_end(&s.spool, &quiet.spool);
        sink_stop(&s);
        assert_complete(&stream, position);
        assert_complete(&quiet, other);
        assert_int_equal(quiet.n_missing, 0);
        assert_int_equal(stream.n_gaps, 1);
        assert_in_range(stream.n_written, SPOOL_STREAM_MAX, 2 * SPOOL_STREAM_MAX);
}

/* It was behind already when it began to hang: what it is about to write has a gap behind it. */
static void test_a_sink_that_hangs_when_it_is_late_makes_one_gap_all_the_same(_unused_ void **state) {
        uint64_t position = 0, other = 0;
        Stream stream, first;
        Sink s;

        sink_start(&s);
        stream_open(&s, &stream);
        stream_open(&s, &first);

        hold(&s);
        put(&s, &first, &other, 1);
        while (LOAD(s.n_entered) < 1)
                sched_yield();
        put(&s, &stream, &position, 1024 * 1024);
        pthread_mutex_unlock(&s.gate[0]);
        while (LOAD(s.n_entered) < 2)
                sched_yield();
        put(&s, &stream, &position, 1024 * 1024);
        pthread_mutex_unlock(&s.gate[1]);

        spool_end(&s.spool, &stream.spool);
        spool_end(&s.spool, &first.spool);
        sink_stop(&s);
        assert_complete(&stream, position);
        assert_int_equal(stream.n_gaps, 1);
        assert_in_range(stream.n_written, SPOOL_STREAM_MAX - 65536, SPOOL_STREAM_MAX);
}

/* A thousand VMs shout for as long as the sink hangs, and then one more that would take all that they have left; then
 * one that has been silent says something. */
static void test_all_streams_together_are_bounded_and_leave_room_for_one_that_whispers(_unused_ void **state) {
        static Stream streams[1000];
        static uint64_t position[ELEMENTSOF(streams)];
        uint64_t shouted = 0, whispered = 0;
        Stream late, quiet;
        Sink s;

        sink_start(&s);
        for (size_t i = 0; i < ELEMENTSOF(streams); i++)
                stream_open(&s, &streams[i]);
        stream_open(&s, &late);
        stream_open(&s, &quiet);

        hold(&s);
        for (unsigned round = 0; round < 5; round++)
                for (size_t i = 0; i < ELEMENTSOF(streams); i++)
                        put(&s, &streams[i], &position[i], 65536);
        put(&s, &late, &shouted, 4 * SPOOL_STREAM_MAX);
        size_t used = s.spool.used;
        put(&s, &quiet, &whispered, 1000);
        release(&s);

        for (size_t i = 0; i < ELEMENTSOF(streams); i++)
                spool_end(&s.spool, &streams[i].spool);
        spool_end(&s.spool, &late.spool);
        spool_end(&s.spool, &quiet.spool);
        sink_stop(&s);

        assert_in_range(used, SPOOL_MAX / 2, SPOOL_MAX);
        assert_complete(&quiet, whispered);
        assert_int_equal(quiet.n_missing, 0);
        assert_complete(&late, shouted);
        for (size_t i = 0; i < ELEMENTSOF(streams); i++)
                assert_complete(&streams[i], position[i]);
}

static void test_streams_that_come_and_go_while_the_sink_hangs_are_bounded(_unused_ void **state) {
        static Stream streams[200];
        size_t n = 0;
        Sink s;

        sink_start(&s);
        hold(&s);
        for (; n < ELEMENTSOF(streams); n++) {
                streams[n] = (Stream){.ordered = true};
                if (spool_open(&s.spool, &streams[n].spool, 1024U * 1024) < 0)
                        break;
                spool_put(&s.spool, &streams[n].spool, (const uint8_t *) "", 1);
                spool_end(&s.spool, &streams[n].spool);
        }
        assert_in_range(n, 60, 64);
        release(&s);
        sink_stop(&s);
        assert_int_equal(s.n_ended, n);
}

static void test_a_sink_that_hangs_for_good_is_left_behind(_unused_ void **state) {
        static Sink s; /* it stays the thread's */
        static Stream stream;
        uint64_t position = 0;

        sink_start(&s);
        stream_open(&s, &stream);
        hold(&s);
        put(&s, &stream, &position, 10);
        spool_end(&s.spool, &stream.spool);
        spool_stop(&s.spool);
        assert_int_equal(spool_join(&s.spool, now_monotonic() + 20 * USEC_PER_MSEC), -ETIMEDOUT);

        release(&s);
        while (LOAD(s.n_ended) == 0)
                sched_yield();
}

static void test_a_stream_that_is_heard_gets_its_end_even_if_it_said_nothing(_unused_ void **state) {
        Stream stream;
        Sink s;

        sink_start(&s);
        stream_open(&s, &stream);
        spool_end(&s.spool, &stream.spool);
        sink_stop(&s);
        assert_int_equal(s.n_ended, 1);
        assert_complete(&stream, 0);
}

static void test_many_streams_leave_room_for_what_one_says(_unused_ void **state) {
        Stream crowd, stream, late = {};
        uint64_t position = 0;
        Sink s;

        sink_start(&s);
        stream_open(&s, &stream);
        crowd = (Stream){.ordered = true};
        assert_int_equal(spool_open(&s.spool, &crowd.spool, SPOOL_STREAMS_MAX - s.spool.cost), 0);
        assert_int_equal(spool_open(&s.spool, &late.spool, 1), -ENOBUFS);

        hold(&s);
        put(&s, &stream, &position, SPOOL_STREAM_MAX / 2);
        release(&s);
        spool_end(&s.spool, &stream.spool);
        spool_end(&s.spool, &crowd.spool);
        sink_stop(&s);

        assert_int_equal(stream.n_written, SPOOL_STREAM_MAX / 2);
        assert_int_equal(stream.n_missing, 0);
        assert_int_equal(s.spool.cost, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_put_is_written_in_order),
                cmocka_unit_test(test_many_streams_leave_room_for_what_one_says),
                cmocka_unit_test(test_a_sink_that_hangs_costs_what_does_not_fit_and_nobody_waits),
                cmocka_unit_test(test_a_sink_that_hangs_when_it_is_late_makes_one_gap_all_the_same),
                cmocka_unit_test(test_all_streams_together_are_bounded_and_leave_room_for_one_that_whispers),
                cmocka_unit_test(test_streams_that_come_and_go_while_the_sink_hangs_are_bounded),
                cmocka_unit_test(test_a_sink_that_hangs_for_good_is_left_behind),
                cmocka_unit_test(test_a_stream_that_is_heard_gets_its_end_even_if_it_said_nothing),
        };

        return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
