/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who is the next to get a port or to listen at it, and who is the next to lose it. */

#include "harness.h"

#include "basic/timeout-queue.h"
#include "console/port-queue.h"

#define MSEC USEC_PER_MSEC
#define MINUTE (60 * USEC_PER_SEC)
#define HOUR (60 * MINUTE)

/* Not on a test's stack: what a failed test leaves in the queue is still there when the queue ends. */
static struct {
        sd_event *event;
        PortQueue queue;
        PortClaim a, b, c, d;
        usec_t retry; /* what serve() says */
        unsigned n_served;
        bool endless;
        bool other_had_its_turn;
} f;

static bool serve(_unused_ PortQueue *q, usec_t *ret_retry) {
        f.n_served++;
        *ret_retry = f.retry;
        return f.endless;
}

static int begin(_unused_ void **state) {
        memset(&f, 0, sizeof f);
        f.retry = USEC_INFINITY;
        assert_true(sd_event_new(&f.event) >= 0);
        assert_true(port_queue_init(&f.queue, f.event, serve) >= 0);
        return 0;
}

static int end(_unused_ void **state) {
        port_queue_done(&f.queue);
        f.event = sd_event_unref(f.event);
        return 0;
}

static void is_present(PortClaim *c, PortState state) {
        port_queue_update(&f.queue, c, &(PortFacts){.state = state, .useful = true});
}

static usec_t ago(usec_t span) {
        return event_now(f.event) - span;
}

static void is_away(PortClaim *c, PortState state, usec_t since) {
        port_queue_update(&f.queue, c,
                          &(PortFacts){.state = state, .away = true, .away_since = since, .useful = true});
}

/* Until nothing is left to do at once */
static void run(void) {
        while (sd_event_run(f.event, 0) > 0)
                ;
}

static void assert_list(PortList list, const PortClaim *first, const PortClaim *second) {
        const PortClaim *c = f.queue.lists[list];

        assert_int_equal(f.queue.n[list], !!first + !!second);
        assert_ptr_equal(c, first);
        if (first)
                assert_ptr_equal(c->next, second);
}

static void test_those_that_wait_stand_in_the_order_in_which_they_came(_unused_ void **state) {
        is_present(&f.b, PORT_AWAITED);
        is_present(&f.a, PORT_AWAITED);
        assert_list(PORT_LIST_AWAITED, &f.b, &f.a);
        is_present(&f.b, PORT_AWAITED); /* still */
        assert_list(PORT_LIST_AWAITED, &f.b, &f.a);
        is_present(&f.b, PORT_OPEN);
        assert_list(PORT_LIST_AWAITED, &f.a, NULL);
}

static void test_one_that_goes_away_waits_among_those_that_are_away(_unused_ void **state) {
        is_away(&f.a, PORT_AWAITED, ago(MINUTE));
        is_present(&f.b, PORT_AWAITED);
        is_present(&f.c, PORT_AWAITED);
        is_away(&f.b, PORT_AWAITED, ago(0));
        assert_list(PORT_LIST_AWAITED_AWAY, &f.a, &f.b);
        assert_list(PORT_LIST_AWAITED, &f.c, NULL);

        is_present(&f.b, PORT_AWAITED);
        assert_list(PORT_LIST_AWAITED, &f.c, &f.b);
}

static void test_those_without_a_descriptor_wait_in_lists_of_their_own(_unused_ void **state) {
        is_present(&f.a, PORT_RESERVED);
        is_away(&f.b, PORT_RESERVED, ago(0));
        assert_list(PORT_LIST_RESERVED, &f.a, NULL);
        assert_list(PORT_LIST_RESERVED_AWAY, &f.b, NULL);
}

static void test_who_wants_nothing_waits_in_no_list(_unused_ void **state) {
        is_present(&f.a, PORT_AWAITED);
        is_away(&f.b, PORT_RESERVED, ago(2 * HOUR));
        is_present(&f.a, PORT_NONE);
        is_present(&f.b, PORT_NONE);
        for (PortList list = 0; list < _PORT_LIST_MAX; list++)
                assert_list(list, NULL, NULL);
        assert_null(port_queue_listener(&f.queue));
        assert_null(port_queue_holder(&f.queue));
}

static void test_who_has_been_away_for_longest_stops_listening_first(_unused_ void **state) {
        is_away(&f.a, PORT_OPEN, ago(2 * MINUTE));
        is_away(&f.b, PORT_OPEN, ago(3 * MINUTE));
        is_away(&f.c, PORT_OPEN, ago(MINUTE));
        assert_ptr_equal(port_queue_listener(&f.queue), &f.b);
        is_away(&f.b, PORT_RESERVED, f.b.facts.away_since);
        assert_ptr_equal(port_queue_listener(&f.queue), &f.a);
        is_present(&f.a, PORT_OPEN);
        assert_ptr_equal(port_queue_listener(&f.queue), &f.c);
        is_away(&f.b, PORT_OPEN, f.b.facts.away_since);
        assert_ptr_equal(port_queue_listener(&f.queue), &f.b);
}

static void test_who_comes_and_goes_has_been_away_from_then_on(_unused_ void **state) {
        is_away(&f.a, PORT_OPEN, ago(3 * MINUTE));
        is_away(&f.b, PORT_OPEN, ago(2 * MINUTE));
        is_away(&f.a, PORT_OPEN, ago(MINUTE)); /* whatever was between */
        assert_ptr_equal(port_queue_listener(&f.queue), &f.b);
}

static void test_who_is_there_or_does_not_listen_has_no_descriptor_to_give(_unused_ void **state) {
        is_present(&f.a, PORT_OPEN);
        is_away(&f.b, PORT_RESERVED, ago(HOUR));
        is_away(&f.c, PORT_AWAITED, ago(HOUR));
        is_away(&f.d, PORT_NONE, ago(HOUR));
        assert_null(port_queue_listener(&f.queue));
}

/* CLOCK_MONOTONIC counts from the start of the machine. */
static void test_who_has_been_away_since_before_the_machine_started(_unused_ void **state) {
        is_away(&f.a, PORT_OPEN, ago(HOUR));
        is_away(&f.b, PORT_OPEN, ago(event_now(f.event) + HOUR));
        assert_ptr_equal(port_queue_listener(&f.queue), &f.b);
        assert_ptr_equal(port_queue_holder(&f.queue), &f.b);
}

static void test_who_was_connected_for_the_shortest_time_loses_its_port_first(_unused_ void **state) {
        f.a.connected = 2 * MINUTE;
        f.b.connected = MINUTE;
        f.c.connected = 3 * MINUTE;
        is_away(&f.a, PORT_OPEN, ago(4 * HOUR));
        is_away(&f.b, PORT_OPEN, ago(2 * HOUR));
        is_away(&f.c, PORT_RESERVED, ago(3 * HOUR));
        assert_ptr_equal(port_queue_holder(&f.queue), &f.b);
        is_away(&f.b, PORT_RESERVED, f.b.facts.away_since);
        assert_ptr_equal(port_queue_holder(&f.queue), &f.b);
        is_away(&f.b, PORT_NONE, f.b.facts.away_since);
        assert_ptr_equal(port_queue_holder(&f.queue), &f.a);
        is_present(&f.a, PORT_OPEN);
        assert_ptr_equal(port_queue_holder(&f.queue), &f.c);
}

static void test_of_those_connected_for_the_same_time_the_one_away_for_longest_is_first(_unused_ void **state) {
        is_away(&f.a, PORT_OPEN, ago(2 * HOUR));
        is_away(&f.b, PORT_OPEN, ago(3 * HOUR));
        is_away(&f.c, PORT_OPEN, ago(2 * HOUR));
        assert_ptr_equal(port_queue_holder(&f.queue), &f.b);
}

static void test_a_port_that_nobody_else_could_have_is_not_lost(_unused_ void **state) {
        PortFacts facts = {.state = PORT_OPEN, .away = true, .away_since = ago(2 * HOUR)};

        port_queue_update(&f.queue, &f.a, &facts);
        assert_null(port_queue_holder(&f.queue));
        facts.useful = true;
        port_queue_update(&f.queue, &f.a, &facts);
        assert_ptr_equal(port_queue_holder(&f.queue), &f.a);
        facts.useful = false;
        port_queue_update(&f.queue, &f.a, &facts);
        assert_null(port_queue_holder(&f.queue));
}

static void test_who_waits_has_no_port_to_lose(_unused_ void **state) {
        is_away(&f.a, PORT_AWAITED, ago(2 * HOUR));
        is_away(&f.b, PORT_NONE, ago(2 * HOUR));
        assert_null(port_queue_holder(&f.queue));
}

static void test_who_has_not_been_away_for_an_hour_keeps_its_port_until_then(_unused_ void **state) {
        f.a.connected = MINUTE;
        is_present(&f.d, PORT_AWAITED);
        run();
        f.n_served = 0;

        is_away(&f.b, PORT_OPEN, ago(30 * MINUTE));
        is_away(&f.a, PORT_OPEN, ago(HOUR - 100 * MSEC));
        is_away(&f.c, PORT_OPEN, ago(HOUR - 50 * MSEC));
        is_present(&f.c, PORT_OPEN); /* back in time */
        run();
        if (!port_queue_holder(&f.queue)) /* unless the machine was busy for so long */
                assert_int_equal(f.n_served, 0);

        while (!port_queue_holder(&f.queue))
                assert_true(sd_event_run(f.event, UINT64_MAX) >= 0);
        assert_true(event_now(f.event) - f.a.facts.away_since >= HOUR);
        assert_ptr_equal(port_queue_holder(&f.queue), &f.a);
        assert_int_equal(f.queue.holders.n, 1);
        run();
        assert_in_range(f.n_served, 1, 2); /* the one that waits may have that port */
}

static void test_who_waits_is_served_once_the_loop_gets_round_to_it(_unused_ void **state) {
        port_queue_wake(&f.queue); /* for nobody */
        run();
        assert_int_equal(f.n_served, 0);
        is_present(&f.a, PORT_AWAITED);
        assert_int_equal(f.n_served, 0);
        run();
        assert_int_equal(f.n_served, 1);
        port_queue_wake(&f.queue);
        run();
        assert_int_equal(f.n_served, 2);
}

static int on_other(_unused_ sd_event_source *source, _unused_ void *userdata) {
        f.other_had_its_turn = true;
        return 0;
}

static void test_others_have_their_turn_between_those_that_are_served(_unused_ void **state) {
        sd_event_source *other = NULL;

        f.endless = true;
        is_present(&f.a, PORT_AWAITED);
        assert_true(sd_event_run(f.event, 0) > 0);
        assert_true(f.n_served > 1);

        assert_true(sd_event_add_defer(f.event, &other, on_other, NULL) >= 0);
        for (unsigned i = 0; i < 4 && !f.other_had_its_turn; i++)
                assert_true(sd_event_run(f.event, 0) > 0);
        assert_true(f.other_had_its_turn);

        unsigned n = f.n_served;
        assert_true(sd_event_run(f.event, 0) > 0);
        assert_true(f.n_served > n); /* and goes on */
        sd_event_source_unref(other);
}

static void test_it_is_tried_again_when_that_makes_sense(_unused_ void **state) {
        f.retry = event_now(f.event) + 20 * MSEC;
        is_present(&f.a, PORT_AWAITED);
        while (f.n_served < 2)
                assert_true(sd_event_run(f.event, UINT64_MAX) >= 0);
        assert_true(event_now(f.event) >= f.retry);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
                TEST(test_those_that_wait_stand_in_the_order_in_which_they_came),
                TEST(test_one_that_goes_away_waits_among_those_that_are_away),
                TEST(test_those_without_a_descriptor_wait_in_lists_of_their_own),
                TEST(test_who_wants_nothing_waits_in_no_list),
                TEST(test_who_has_been_away_for_longest_stops_listening_first),
                TEST(test_who_comes_and_goes_has_been_away_from_then_on),
                TEST(test_who_is_there_or_does_not_listen_has_no_descriptor_to_give),
                TEST(test_who_has_been_away_since_before_the_machine_started),
                TEST(test_who_was_connected_for_the_shortest_time_loses_its_port_first),
                TEST(test_of_those_connected_for_the_same_time_the_one_away_for_longest_is_first),
                TEST(test_a_port_that_nobody_else_could_have_is_not_lost),
                TEST(test_who_waits_has_no_port_to_lose),
                TEST(test_who_has_not_been_away_for_an_hour_keeps_its_port_until_then),
                TEST(test_who_waits_is_served_once_the_loop_gets_round_to_it),
                TEST(test_others_have_their_turn_between_those_that_are_served),
                TEST(test_it_is_tried_again_when_that_makes_sense),
        };

        return cmocka_run_group_tests_name("port-queue", tests, NULL, NULL);
}
