/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Many timeouts on one timer, in a real event loop. Nothing here sleeps for a fixed time: a test runs the
 * loop until what it waits for has happened, and where something must not happen, until another timeout that
 * was started later and is longer has elapsed.
 */

#include "harness.h"

#include "basic/timeout-queue.h"

#define MSEC USEC_PER_MSEC
#define LONGER (100 * MSEC) /* than run_for_a_while() takes, on a busy machine too */
#define HOUR (3600 * USEC_PER_SEC)
#define TOO_LONG (20 * USEC_PER_SEC)

typedef struct Item {
        Timeout timeout;
        unsigned n_elapsed;
        usec_t at;           /* when it last did */
        struct Item *stops;  /* what its handler does */
        struct Item *starts;
        unsigned n_restarts;
} Item;

/* Not on a test's stack: what a failed test has left in the queue is still there when the queue ends. */
static struct {
        sd_event *event;
        TimeoutQueue queue, reference;
        Timeout reference_timeout;
        bool reference_elapsed;
        Item a, b, c, many[16000];
        Item *order[16];
        size_t n_order;
} f;

static void on_elapsed(Timeout *timeout) {
        Item *item = container_of(timeout, Item, timeout);

        assert_null(timeout->queue);
        item->n_elapsed++;
        item->at = event_now(f.event);
        f.order[f.n_order++ % ELEMENTSOF(f.order)] = item;

        if (item->stops)
                timeout_stop(&item->stops->timeout);
        if (item->starts)
                timeout_start(&f.queue, &item->starts->timeout);
        if (item->n_restarts > 0) {
                item->n_restarts--;
                timeout_start(&f.queue, timeout);
        }
}

static void on_reference(_unused_ Timeout *timeout) {
        f.reference_elapsed = true;
}

static int setup(_unused_ void **state) {
        memset(&f, 0, sizeof f);
        assert_true(sd_event_new(&f.event) >= 0);
        assert_true(timeout_queue_init(&f.queue, f.event, MSEC, on_elapsed) >= 0);
        assert_true(timeout_queue_init(&f.reference, f.event, 4 * MSEC, on_reference) >= 0);
        return 0;
}

static int teardown(_unused_ void **state) {
        timeout_queue_done(&f.queue);
        timeout_queue_done(&f.reference);
        f.event = sd_event_unref(f.event);
        return 0;
}

static void run_until_elapsed(const Item *item, unsigned n) {
        while (item->n_elapsed < n)
                assert_true(sd_event_run(f.event, TOO_LONG) > 0);
}

/* Runs the loop until whatever was due in the next few milliseconds has happened. */
static void run_for_a_while(void) {
        f.reference_elapsed = false;
        timeout_start(&f.reference, &f.reference_timeout);
        while (!f.reference_elapsed)
                assert_true(sd_event_run(f.event, TOO_LONG) > 0);
}

static void test_a_timeout_elapses_once(_unused_ void **state) {
        timeout_start(&f.queue, &f.a.timeout);
        run_until_elapsed(&f.a, 1);
        run_for_a_while();
        assert_int_equal(f.a.n_elapsed, 1);
}

static void test_a_timeout_does_not_elapse_early(_unused_ void **state) {
        for (unsigned i = 1; i <= 10; i++) {
                usec_t before = event_now(f.event);

                timeout_start(&f.queue, &f.a.timeout);
                run_until_elapsed(&f.a, i);
                assert_true(f.a.at - before >= MSEC);
        }
}

static void test_what_was_started_first_elapses_first(_unused_ void **state) {
        const size_t n = ELEMENTSOF(f.order);

        for (size_t i = 0; i < n; i++)
                timeout_start(&f.queue, &f.many[i].timeout);
        run_until_elapsed(&f.many[n - 1], 1);

        assert_int_equal(f.n_order, n);
        for (size_t i = 0; i < n; i++)
                assert_ptr_equal(f.order[i], &f.many[i]);
}

static void test_a_stopped_timeout_does_not_elapse(_unused_ void **state) {
        timeout_start(&f.queue, &f.a.timeout);
        timeout_start(&f.queue, &f.b.timeout);
        timeout_start(&f.queue, &f.c.timeout);
        timeout_stop(&f.b.timeout);
        run_until_elapsed(&f.c, 1);
        run_for_a_while();

        assert_int_equal(f.a.n_elapsed, 1);
        assert_int_equal(f.b.n_elapsed, 0);
        assert_null(f.b.timeout.queue);
}

/* The timer was set for the one that is stopped: the other is neither lost nor early. */
static void test_the_rest_is_in_time_after_the_oldest_was_stopped(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, LONGER);
        timeout_start(&f.queue, &f.a.timeout);
        run_for_a_while();
        usec_t before = event_now(f.event);
        timeout_start(&f.queue, &f.b.timeout);
        timeout_stop(&f.a.timeout);
        run_until_elapsed(&f.b, 1);

        assert_int_equal(f.a.n_elapsed, 0);
        assert_true(f.b.at - before >= LONGER);
}

static void test_what_is_started_after_all_were_stopped_elapses(_unused_ void **state) {
        timeout_start(&f.queue, &f.a.timeout);
        timeout_stop(&f.a.timeout);
        run_for_a_while();
        timeout_start(&f.queue, &f.b.timeout);
        run_until_elapsed(&f.b, 1);
        assert_int_equal(f.a.n_elapsed, 0);
}

static void test_stopping_what_never_started_or_twice_is_harmless(_unused_ void **state) {
        timeout_stop(&f.a.timeout);
        timeout_start(&f.queue, &f.a.timeout);
        timeout_start(&f.queue, &f.b.timeout);
        timeout_stop(&f.a.timeout);
        timeout_stop(&f.a.timeout);
        run_until_elapsed(&f.b, 1);
        assert_int_equal(f.a.n_elapsed, 0);
}

static void test_a_timeout_started_anew_goes_to_the_end(_unused_ void **state) {
        timeout_start(&f.queue, &f.a.timeout);
        timeout_start(&f.queue, &f.b.timeout);
        timeout_start(&f.queue, &f.a.timeout);
        run_until_elapsed(&f.a, 1);

        assert_int_equal(f.n_order, 2);
        assert_ptr_equal(f.order[0], &f.b);
        assert_ptr_equal(f.order[1], &f.a);
}

static void test_a_timeout_started_anew_counts_from_then(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, LONGER);
        timeout_start(&f.queue, &f.a.timeout);
        run_for_a_while();
        usec_t before = event_now(f.event);
        timeout_start(&f.queue, &f.a.timeout);
        run_until_elapsed(&f.a, 1);
        assert_true(f.a.at - before >= LONGER);
}

static void test_infinity_never_elapses(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, USEC_INFINITY);
        timeout_start(&f.queue, &f.a.timeout);
        run_for_a_while();
        assert_int_equal(f.a.n_elapsed, 0);
        assert_non_null(f.a.timeout.queue);
}

static void test_a_duration_beyond_the_end_of_time_never_elapses(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, USEC_INFINITY - 1);
        timeout_start(&f.queue, &f.a.timeout);
        run_for_a_while();
        assert_int_equal(f.a.n_elapsed, 0);
}

static void test_an_end_to_infinity_lets_elapse_what_waited(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, USEC_INFINITY);
        timeout_start(&f.queue, &f.a.timeout);
        timeout_queue_set_duration(&f.queue, MSEC);
        run_until_elapsed(&f.a, 1);
}

static void test_a_longer_duration_holds_for_what_is_running(_unused_ void **state) {
        timeout_start(&f.queue, &f.a.timeout);
        timeout_queue_set_duration(&f.queue, HOUR);
        run_for_a_while();
        assert_int_equal(f.a.n_elapsed, 0);
}

/* What is overdue by the new duration elapses in the very next turn of the loop. */
static void test_a_shorter_duration_counts_from_the_start(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, HOUR);
        timeout_start(&f.queue, &f.a.timeout);
        run_for_a_while();
        timeout_queue_set_duration(&f.queue, MSEC);
        assert_true(sd_event_run(f.event, 0) > 0);
        assert_int_equal(f.a.n_elapsed, 1);
}

static void test_a_handler_may_start_its_timeout_anew(_unused_ void **state) {
        f.a.n_restarts = 3;
        timeout_start(&f.queue, &f.a.timeout);
        run_until_elapsed(&f.a, 4);
        run_for_a_while();
        assert_int_equal(f.a.n_elapsed, 4);
}

static void test_a_handler_may_stop_one_that_is_due_as_well(_unused_ void **state) {
        f.a.stops = &f.b;
        timeout_start(&f.queue, &f.a.timeout);
        timeout_start(&f.queue, &f.b.timeout);
        timeout_start(&f.queue, &f.c.timeout);
        run_until_elapsed(&f.c, 1);
        assert_int_equal(f.b.n_elapsed, 0);
}

static void test_a_handler_may_start_another(_unused_ void **state) {
        f.a.starts = &f.b;
        timeout_start(&f.queue, &f.a.timeout);
        run_until_elapsed(&f.b, 1);
        assert_true(f.b.at - f.a.at >= MSEC);
}

static void test_ending_a_queue_stops_what_is_in_it(_unused_ void **state) {
        timeout_start(&f.queue, &f.a.timeout);
        timeout_start(&f.queue, &f.b.timeout);
        timeout_queue_done(&f.queue);
        assert_null(f.a.timeout.queue);
        assert_null(f.b.timeout.queue);
        run_for_a_while();
        assert_int_equal(f.a.n_elapsed + f.b.n_elapsed, 0);
}

static void test_sixteen_thousand_timeouts_all_elapse(_unused_ void **state) {
        const size_t n = ELEMENTSOF(f.many);

        for (size_t i = 0; i < n; i++)
                timeout_start(&f.queue, &f.many[i].timeout);
        for (size_t i = 0; i < n; i += 2)
                timeout_stop(&f.many[i].timeout);
        run_until_elapsed(&f.many[n - 1], 1);

        for (size_t i = 0; i < n; i++)
                assert_int_equal(f.many[i].n_elapsed, i % 2);
}

static void test_one_that_began_earlier_elapses_earlier(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, HOUR);
        timeout_start(&f.queue, &f.a.timeout);
        timeout_start_ago(&f.queue, &f.b.timeout, HOUR - MSEC);
        timeout_start_ago(&f.queue, &f.c.timeout, HOUR - 2 * MSEC);
        run_until_elapsed(&f.c, 1);
        run_for_a_while();

        assert_int_equal(f.n_order, 2);
        assert_ptr_equal(f.order[0], &f.b);
        assert_ptr_equal(f.order[1], &f.c);
        assert_int_equal(f.a.n_elapsed, 0);
}

static void test_the_deadline_counts_from_when_it_began(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, HOUR);
        timeout_start(&f.queue, &f.a.timeout);
        timeout_start_ago(&f.queue, &f.b.timeout, 10 * USEC_PER_SEC);
        usec_t apart = timeout_deadline(&f.a.timeout) - timeout_deadline(&f.b.timeout);
        assert_in_range(apart, 9 * USEC_PER_SEC, 10 * USEC_PER_SEC);
}

static void test_what_is_overdue_from_the_start_elapses_at_once(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, HOUR);
        timeout_start_ago(&f.queue, &f.a.timeout, 2 * HOUR);
        run_until_elapsed(&f.a, 1);
}

/* CLOCK_MONOTONIC counts from the start of the machine, which may have been after that. */
static void test_one_may_have_begun_before_the_clock(_unused_ void **state) {
        const usec_t year = 365 * 24 * HOUR;
        usec_t uptime = event_now(f.event);

        timeout_queue_set_duration(&f.queue, HOUR);
        timeout_start_ago(&f.queue, &f.a.timeout, 50 * year); /* and would have elapsed before it */
        timeout_start_ago(&f.queue, &f.b.timeout, uptime + HOUR - MSEC);
        timeout_start(&f.queue, &f.c.timeout);
        assert_int_equal(timeout_deadline(&f.a.timeout), 0);
        run_until_elapsed(&f.a, 1);
        run_until_elapsed(&f.b, 1);
        run_for_a_while();
        assert_int_equal(f.c.n_elapsed, 0);

        timeout_queue_set_duration(&f.queue, 51 * year);
        timeout_start_ago(&f.queue, &f.a.timeout, 50 * year);
        assert_in_range(timeout_deadline(&f.a.timeout), year, year + TOO_LONG + event_now(f.event));
        timeout_queue_set_duration(&f.queue, USEC_INFINITY - 1);
        assert_true(timeout_deadline(&f.a.timeout) > year);
        timeout_queue_set_duration(&f.queue, USEC_INFINITY);
        assert_true(timeout_deadline(&f.a.timeout) == USEC_INFINITY);
}

static void test_they_elapse_in_the_order_of_their_beginnings(_unused_ void **state) {
        static const unsigned ago[] = {5, 0, 9, 3, 3, 12, 1, 7, 12, 2};
        const size_t n = ELEMENTSOF(ago);

        timeout_queue_set_duration(&f.queue, HOUR);
        for (size_t i = 0; i < n; i++)
                timeout_start_ago(&f.queue, &f.many[i].timeout, 2 * HOUR + ago[i] * USEC_PER_SEC);
        for (size_t i = 0; i < n; i++)
                run_until_elapsed(&f.many[i], 1);

        assert_int_equal(f.n_order, n);
        for (size_t i = 1; i < n; i++)
                assert_true(ago[f.order[i - 1] - f.many] >= ago[f.order[i] - f.many]);
}

static void test_one_that_began_earlier_can_be_stopped_and_started_anew(_unused_ void **state) {
        timeout_queue_set_duration(&f.queue, HOUR);
        timeout_start_ago(&f.queue, &f.a.timeout, 2 * HOUR);
        timeout_start_ago(&f.queue, &f.b.timeout, 2 * HOUR);
        timeout_stop(&f.a.timeout);
        timeout_start(&f.queue, &f.b.timeout);
        timeout_start_ago(&f.queue, &f.c.timeout, 2 * HOUR);
        run_until_elapsed(&f.c, 1);
        run_for_a_while();
        assert_int_equal(f.a.n_elapsed + f.b.n_elapsed, 0);
}

/* The loop has woken up a while ago, and has been busy since. */
static void test_one_that_is_started_now_does_not_count_what_the_loop_has_spent_before(_unused_ void **state) {
        timeout_start(&f.queue, &f.a.timeout);
        run_until_elapsed(&f.a, 1);
        while (now_monotonic() < event_now(f.event) + 5 * MSEC)
                ;

        usec_t before = now_monotonic();
        timeout_start_now(&f.queue, &f.b.timeout);
        assert_true(timeout_deadline(&f.b.timeout) >= before + MSEC);
        run_until_elapsed(&f.b, 1);
        assert_true(f.b.at >= before + MSEC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_a_timeout_elapses_once),
                TEST(test_a_timeout_does_not_elapse_early),
                TEST(test_what_was_started_first_elapses_first),
                TEST(test_a_stopped_timeout_does_not_elapse),
                TEST(test_the_rest_is_in_time_after_the_oldest_was_stopped),
                TEST(test_what_is_started_after_all_were_stopped_elapses),
                TEST(test_stopping_what_never_started_or_twice_is_harmless),
                TEST(test_a_timeout_started_anew_goes_to_the_end),
                TEST(test_a_timeout_started_anew_counts_from_then),
                TEST(test_infinity_never_elapses),
                TEST(test_a_duration_beyond_the_end_of_time_never_elapses),
                TEST(test_an_end_to_infinity_lets_elapse_what_waited),
                TEST(test_a_longer_duration_holds_for_what_is_running),
                TEST(test_a_shorter_duration_counts_from_the_start),
                TEST(test_a_handler_may_start_its_timeout_anew),
                TEST(test_a_handler_may_stop_one_that_is_due_as_well),
                TEST(test_a_handler_may_start_another),
                TEST(test_ending_a_queue_stops_what_is_in_it),
                TEST(test_sixteen_thousand_timeouts_all_elapse),
                TEST(test_one_that_began_earlier_elapses_earlier),
                TEST(test_the_deadline_counts_from_when_it_began),
                TEST(test_what_is_overdue_from_the_start_elapses_at_once),
                TEST(test_one_may_have_begun_before_the_clock),
                TEST(test_they_elapse_in_the_order_of_their_beginnings),
                TEST(test_one_that_began_earlier_can_be_stopped_and_started_anew),
                TEST(test_one_that_is_started_now_does_not_count_what_the_loop_has_spent_before),
        };

        return cmocka_run_group_tests_name("timeout-queue", tests, NULL, NULL);
}
