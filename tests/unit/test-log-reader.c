/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The way from consoles to vspc-logger, which the test plays: whatever vspc-logger does nobody waits for it, memory is bounded,
 * and every byte is sent or is in a gap, in order.
 */

#include "harness.h"

#include <utlist.h>

#include "log/log-reader.h"
#include "prng.h"

#define KEEP 16384U

/* What a console says: bytes that count up. */
typedef struct Speaker {
        Ring ring;
        LogReader reader;
        uint64_t position; /* of what vspc-logger gets next */
        uint64_t n_got, n_missing, n_gaps;
} Speaker;

static LogBacklog backlog;
static LogMessage message;

static void on_released(LogReader *r) {
        Speaker *s = container_of(r, Speaker, reader);

        ring_hold(&s->ring, log_reader_is_idle(r) ? UINT64_MAX : r->held);
}

static int begin(_unused_ void **state) {
        backlog = (LogBacklog){.released = on_released};
        message.size = 0;
        return 0;
}

static const LogOpen web01 = {.name = "web01", .uuid = "50120000-0000-0000-0000-000000000001", .uri = "s0", .prefix = ""};

static void speaker_init(Speaker *s) {
        *s = (Speaker){};
        ring_init(&s->ring, KEEP, 65536);
        log_reader_init(&s->reader, &backlog, &s->ring);
        assert_int_equal(log_reader_begin(&s->reader, 0, &web01), 0);
}

static void speaker_done(Speaker *s) {
        log_reader_done(&s->reader);
        ring_done(&s->ring);
}

static void say(Speaker *s, size_t n) {
        uint8_t data[65536];

        while (n > 0) {
                size_t k = MIN(n, sizeof data);

                for (size_t i = 0; i < k; i++)
                        data[i] = (uint8_t) (s->ring.end + i);
                assert_int_equal(ring_append(&s->ring, data, k), 0);
                (void) log_reader_output(&s->reader);
                n -= k;
        }
}

/* What the reader has to send next is in `message`. Returns: whether there is anything. */
static bool fill(void) {
        message.size = 0;
        while (backlog.waiting) {
                LogReader *r = backlog.waiting;
                bool done = log_reader_fill(r, &message);

                DL_DELETE(backlog.waiting, r);
                r->waiting = false;
                if (!done) {
                        DL_APPEND(backlog.waiting, r);
                        r->waiting = true;
                        break;
                }
        }

        return message.size > 0;
}

static void acknowledge(LogRecordType type, uint64_t stream, uint64_t position) {
        const LogRecord ack = {.type = (uint16_t) type, .stream = stream, .position = position, .count = position};

        assert_int_equal(log_backlog_acknowledged(&backlog, &ack, &(LogPlace){}), 0);
}

static Speaker *speaker_of(uint64_t id) {
        LogStream *s;

        HASH_FIND(handle, backlog.streams, &id, sizeof id, s);
        assert_non_null(s);
        return container_of(s->reader, Speaker, reader);
}

/* vspc-logger reads `message`, and says so unless it is @silent. */
static void take_message(bool silent) {
        const uint8_t *data;
        LogRecord record;
        size_t offset = 0, n;

        while (log_message_next(&message, &offset, &record, &data, &n) > 0) {
                Speaker *s = speaker_of(record.stream);

                if (record.type == LOG_OPEN)
                        s->position = record.position;
                assert_int_equal(record.position, s->position);

                if (record.type == LOG_DATA) {
                        for (size_t i = 0; i < n; i++)
                                if (data[i] != (uint8_t) (record.position + i))
                                        fail_msg("wrong byte at %llu", (unsigned long long) (record.position + i));
                        s->position += n;
                        s->n_got += n;
                } else if (record.type == LOG_GAP) {
                        s->position += record.count;
                        s->n_missing += record.count;
                        s->n_gaps++;
                }
                if (!silent)
                        acknowledge(record.type == LOG_CLOSE ? LOG_CLOSED : LOG_ACK, record.stream, s->position);
        }
}

static void take_all(void) {
        while (fill())
                take_message(false);
}

static void test_what_is_said_is_sent_in_order_and_nothing_is_held_once_it_is_acknowledged(_unused_ void **state) {
        static Speaker speakers[8];
        Prng random = prng_init();

        for (size_t i = 0; i < ELEMENTSOF(speakers); i++)
                speaker_init(&speakers[i]);
        for (unsigned k = 0; k < 5000; k++) {
                say(&speakers[prng_below(&random, ELEMENTSOF(speakers))], prng_below(&random, 500));
                if (prng_below(&random, 10) == 0)
                        take_all();
        }
        take_all();

        assert_int_equal(backlog.size, 0);
        for (size_t i = 0; i < ELEMENTSOF(speakers); i++) {
                assert_int_equal(speakers[i].n_got, speakers[i].ring.end);
                assert_int_equal(speakers[i].ring.held, speakers[i].ring.end);
                log_reader_end(&speakers[i].reader);
        }
        take_all();
        assert_null(backlog.streams);
        for (size_t i = 0; i < ELEMENTSOF(speakers); i++) {
                assert_true(log_reader_is_idle(&speakers[i].reader));
                speaker_done(&speakers[i]);
        }
}

static void test_a_logger_that_hangs_costs_what_does_not_fit_and_that_is_one_gap(_unused_ void **state) {
        Speaker loud, quiet;

        speaker_init(&loud);
        speaker_init(&quiet);
        say(&loud, 1000);
        say(&quiet, 1000);
        assert_true(fill()); /* is on its way when it begins to hang */
        for (unsigned i = 0; i < 1000; i++) {
                say(&loud, 65536);
                assert_true(loud.reader.size <= LOG_LAG_MAX);
                assert_true(loud.ring.end - loud.ring.oldest <= LOG_LAG_MAX + RING_BLOCK_SIZE);
        }
        take_message(false);
        take_all();

        assert_int_equal(loud.n_gaps, 1);
        assert_int_equal(loud.n_got + loud.n_missing, loud.ring.end);
        assert_in_range(loud.n_got, LOG_LAG_MAX / 2, LOG_LAG_MAX + 1000);
        assert_int_equal(quiet.n_got, 1000);
        speaker_done(&loud);
        speaker_done(&quiet);
}

/* It takes a little, then nothing, and so on: what has been sent is not known to have been taken. */
static void test_a_gap_waits_until_what_comes_before_has_been_taken(_unused_ void **state) {
        Speaker s;

        speaker_init(&s);
        say(&s, 1000);
        assert_true(fill());
        take_message(true);
        say(&s, 2 * LOG_LAG_MAX);
        assert_false(fill());
        acknowledge(LOG_ACK, 1, 1000);
        say(&s, LOG_LAG_MAX);
        take_all();
        assert_int_equal(s.n_gaps, 1);
        assert_int_equal(s.n_got + s.n_missing, s.ring.end);
        speaker_done(&s);
}

/* A thousand VMs shout for as long as vspc-logger hangs, and then one more that would take all that they have left; then
 * one that has been silent says something. */
static void test_all_together_are_bounded_and_leave_room_for_one_that_whispers(_unused_ void **state) {
        static Speaker speakers[1000];
        Speaker late, quiet;

        for (size_t i = 0; i < ELEMENTSOF(speakers); i++)
                speaker_init(&speakers[i]);
        speaker_init(&late);
        speaker_init(&quiet);
        for (unsigned round = 0; round < 5; round++)
                for (size_t i = 0; i < ELEMENTSOF(speakers); i++)
                        say(&speakers[i], 65536);
        say(&late, 4 * LOG_LAG_MAX);
        assert_in_range(backlog.size, LOG_BACKLOG_MAX / 2, LOG_BACKLOG_MAX);
        say(&quiet, 1000);
        assert_true(backlog.size <= LOG_BACKLOG_MAX);
        take_all();

        assert_int_equal(quiet.n_got, 1000);
        for (size_t i = 0; i < ELEMENTSOF(speakers); i++) {
                assert_int_equal(speakers[i].n_got + speakers[i].n_missing, speakers[i].ring.end);
                speaker_done(&speakers[i]);
        }
        speaker_done(&late);
        speaker_done(&quiet);
}

static void test_after_a_lost_connection_it_goes_on_with_what_was_not_acknowledged(_unused_ void **state) {
        Speaker s;

        speaker_init(&s);
        say(&s, 1000);
        take_all();
        say(&s, 500);
        assert_true(fill());
        take_message(true);
        assert_int_equal(s.position, 1500);
        say(&s, 200);
        log_backlog_restart(&backlog);
        assert_true(fill());
        take_message(false);
        assert_int_equal(s.n_got, 1500 + 700);
        assert_int_equal(s.n_gaps, 0);
        assert_int_equal(backlog.size, 0);
        speaker_done(&s);
}

static void test_what_could_not_be_kept_for_a_lost_connection_is_a_gap(_unused_ void **state) {
        Speaker s;

        speaker_init(&s);
        say(&s, 1000);
        take_all();
        say(&s, 500);
        assert_true(fill()); /* and this is lost with the connection */
        say(&s, 2 * LOG_LAG_MAX);
        log_backlog_restart(&backlog);
        take_all();
        assert_int_equal(s.n_gaps, 1);
        assert_int_equal(s.n_got + s.n_missing, s.ring.end);
        speaker_done(&s);
}

static void test_another_name_is_another_stream_from_that_position_on(_unused_ void **state) {
        LogOpen web02 = web01;
        Speaker s;

        web02.name = "web02";
        speaker_init(&s);
        say(&s, 100);
        uint64_t position = s.ring.end;
        say(&s, 50);
        assert_int_equal(log_reader_begin(&s.reader, position, &web02), 0);
        assert_string_equal(log_reader_current(&s.reader)->name, "web02");
        take_all();
        assert_int_equal(s.n_got, 150);
        assert_int_equal(s.reader.n_streams, 1);
        assert_int_equal(s.reader.streams->begin, 100);
        speaker_done(&s);
}

static void test_what_is_said_between_two_streams_is_not_sent_and_no_gap(_unused_ void **state) {
        Speaker s;

        speaker_init(&s);
        say(&s, 100);
        log_reader_end(&s.reader);
        assert_null(log_reader_current(&s.reader));
        ring_append(&s.ring, "not of interest", 15);
        assert_int_equal(log_reader_begin(&s.reader, 115, &web01), 0);
        say(&s, 10);
        take_all();
        assert_int_equal(s.n_got, 110);
        assert_int_equal(s.n_gaps, 0);
        assert_int_equal(backlog.size, 0);
        speaker_done(&s);
}

/* Logging to this sink is switched off while vspc-logger hangs. */
static void test_output_that_is_not_wanted_is_not_kept_for_that_which_waits(_unused_ void **state) {
        Speaker s;

        speaker_init(&s);
        say(&s, 1000);
        log_reader_end(&s.reader);
        for (unsigned i = 0; i < 100; i++) {
                say(&s, 65536);
                assert_true(s.ring.end - s.ring.oldest <= LOG_LAG_MAX + RING_BLOCK_SIZE);
        }
        take_all();
        assert_int_equal(s.n_missing, 1000);
        assert_true(log_reader_is_idle(&s.reader));
        assert_int_equal(backlog.size, 0);
        speaker_done(&s);
}

/* @sent: vspc-logger gets all there is before it hangs, so that the last stream would be closed already. */
static void check_that_the_last_stream_goes_on(bool sent) {
        Speaker s;

        speaker_init(&s);
        for (unsigned i = 0; i < 2 * LOG_STREAMS_MAX; i++) {
                say(&s, 1);
                log_reader_end(&s.reader);
                if (sent && fill())
                        take_message(true);
                assert_int_equal(log_reader_begin(&s.reader, s.ring.end, &web01), 0);
                assert_in_range(s.reader.n_streams, 1, LOG_STREAMS_MAX);
        }
        say(&s, 1);
        log_reader_end(&s.reader);
        for (uint64_t id = 1; sent && id < LOG_STREAMS_MAX; id++)
                acknowledge(LOG_CLOSED, id, id);
        take_all();

        assert_int_equal(s.n_got, 2 * LOG_STREAMS_MAX + 1);
        assert_true(log_reader_is_idle(&s.reader));
        speaker_done(&s);
}

static void test_when_no_more_streams_may_wait_the_last_one_goes_on(_unused_ void **state) {
        check_that_the_last_stream_goes_on(false);
}

static void test_when_no_more_streams_may_wait_the_last_one_goes_on_though_it_has_been_sent(_unused_ void **state) {
        check_that_the_last_stream_goes_on(true);
}

static void test_what_was_not_sent_cannot_be_acknowledged(_unused_ void **state) {
        Speaker s;

        speaker_init(&s);
        say(&s, 1000);
        assert_true(fill());
        take_message(true);
        say(&s, 10);
        static const LogRecord wrong[] = {
                {.type = LOG_ACK, .stream = 1, .position = 1001, .count = 1001},
                {.type = LOG_ACK, .stream = 1, .position = 1000, .count = 1001},
                {.type = LOG_ACK, .stream = 1, .position = 1000, .count = 999},
                {.type = LOG_CLOSED, .stream = 1, .position = 1000, .count = 1000},
        };
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(log_backlog_acknowledged(&backlog, &wrong[i], &(LogPlace){}), -EPROTO);
        acknowledge(LOG_ACK, 1, 1000);
        speaker_done(&s);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_what_is_said_is_sent_in_order_and_nothing_is_held_once_it_is_acknowledged),
                TEST(test_a_logger_that_hangs_costs_what_does_not_fit_and_that_is_one_gap),
                TEST(test_a_gap_waits_until_what_comes_before_has_been_taken),
                TEST(test_all_together_are_bounded_and_leave_room_for_one_that_whispers),
                TEST(test_after_a_lost_connection_it_goes_on_with_what_was_not_acknowledged),
                TEST(test_what_could_not_be_kept_for_a_lost_connection_is_a_gap),
                TEST(test_another_name_is_another_stream_from_that_position_on),
                TEST(test_what_is_said_between_two_streams_is_not_sent_and_no_gap),
                TEST(test_output_that_is_not_wanted_is_not_kept_for_that_which_waits),
                TEST(test_when_no_more_streams_may_wait_the_last_one_goes_on),
                TEST(test_when_no_more_streams_may_wait_the_last_one_goes_on_though_it_has_been_sent),
                TEST(test_what_was_not_sent_cannot_be_acknowledged),
        };

        return cmocka_run_group_tests_name("log-reader", tests, NULL, NULL);
}
