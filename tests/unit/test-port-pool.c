/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ports on which VMs are served: the lowest that is free, nobody's twice, and those of other programs are left
 * alone for a minute. */

#include "harness.h"

#include "console/port-pool.h"
#include "prng.h"

#define NOW (1000 * USEC_PER_SEC)

static PortPool pool; /* 16K */

static void assert_takes(int want) {
        assert_int_equal(port_pool_take(&pool, NOW), want);
}

static void test_the_lowest_comes_first(_unused_ void **state) {
        port_pool_init(&pool, 50000, 50200);
        for (int port = 50000; port <= 50200; port++)
                assert_takes(port);
        assert_takes(-ENOSPC);
        assert_takes(-ENOSPC);
}

static void test_what_is_released_is_taken_again_lowest_first(_unused_ void **state) {
        port_pool_init(&pool, 50000, 50200);
        for (int port = 50000; port <= 50200; port++)
                assert_takes(port);

        port_pool_release(&pool, 50150);
        port_pool_release(&pool, 50003);
        port_pool_release(&pool, 50064);
        assert_takes(50003);
        assert_takes(50064);
        port_pool_release(&pool, 50000);
        assert_takes(50000);
        assert_takes(50150);
        assert_takes(-ENOSPC);
}

/* 64 ports are a word: ranges that begin and end on its edges, beside them, and within one. */
static void test_ranges_of_every_kind_are_used_up_exactly(_unused_ void **state) {
        static const uint16_t ranges[][2] = {
                {1, 1}, {1, 63}, {1, 64}, {63, 63}, {63, 64}, {64, 64}, {64, 127}, {64, 128}, {65, 126},
                {127, 128}, {100, 400}, {65471, 65472}, {65472, 65535}, {65535, 65535}, {1, 65535},
        };

        for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
                port_pool_init(&pool, ranges[i][0], ranges[i][1]);
                for (int port = ranges[i][0]; port <= ranges[i][1]; port++)
                        assert_takes(port);
                assert_takes(-ENOSPC);

                port_pool_release(&pool, ranges[i][1]);
                assert_takes(ranges[i][1]);
                assert_takes(-ENOSPC);
        }
}

static void test_a_foreign_port_is_skipped_and_tried_again_after_a_minute(_unused_ void **state) {
        port_pool_init(&pool, 50000, 50002);
        assert_takes(50000);
        port_pool_set_foreign(&pool, 50000, NOW);
        assert_takes(50001);
        assert_takes(50002);
        assert_takes(-ENOSPC);

        assert_int_equal(port_pool_take(&pool, NOW + PORT_POOL_FOREIGN_USEC - 1), -ENOSPC);
        assert_int_equal(port_pool_take(&pool, NOW + PORT_POOL_FOREIGN_USEC), 50000);
        assert_int_equal(port_pool_take(&pool, NOW + PORT_POOL_FOREIGN_USEC), -ENOSPC);

        /* Still foreign: its next minute counts from now. */
        port_pool_set_foreign(&pool, 50000, NOW + PORT_POOL_FOREIGN_USEC);
        assert_int_equal(port_pool_take(&pool, NOW + 2 * PORT_POOL_FOREIGN_USEC - 1), -ENOSPC);
        assert_int_equal(port_pool_take(&pool, NOW + 2 * PORT_POOL_FOREIGN_USEC), 50000);
}

static void test_all_ports_may_be_foreign(_unused_ void **state) {
        port_pool_init(&pool, 1000, 1300);
        for (int port = 1000; port <= 1300; port++) {
                assert_takes(port);
                port_pool_set_foreign(&pool, (uint16_t) port, NOW);
        }

        assert_takes(-ENOSPC);
        for (int port = 1000; port <= 1300; port++)
                assert_int_equal(port_pool_take(&pool, NOW + PORT_POOL_FOREIGN_USEC), port);
}

static void test_releasing_a_port_does_not_make_a_foreign_one_ours(_unused_ void **state) {
        port_pool_init(&pool, 1000, 1001);
        assert_takes(1000);
        port_pool_set_foreign(&pool, 1000, NOW);
        port_pool_release(&pool, 1000);
        assert_takes(1001);
        assert_takes(-ENOSPC);
}

static void test_what_another_program_still_holds_is_no_news(_unused_ void **state) {
        usec_t later = NOW + PORT_POOL_FOREIGN_USEC;

        port_pool_init(&pool, 50000, 50001);
        assert_takes(50000);
        assert_true(port_pool_set_foreign(&pool, 50000, NOW));
        assert_int_equal(port_pool_take(&pool, later), 50000);
        assert_false(port_pool_set_foreign(&pool, 50000, later));

        /* Given up by that program, ours, and another's again */
        later += PORT_POOL_FOREIGN_USEC;
        assert_int_equal(port_pool_take(&pool, later), 50000);
        port_pool_release(&pool, 50000);
        assert_int_equal(port_pool_take(&pool, later), 50000);
        assert_true(port_pool_set_foreign(&pool, 50000, later));
}

/* CLOCK_MONOTONIC counts from the start of the machine. */
static void test_a_port_found_foreign_at_time_0_is_skipped_too(_unused_ void **state) {
        port_pool_init(&pool, 1000, 1001);
        assert_int_equal(port_pool_take(&pool, 0), 1000);
        port_pool_set_foreign(&pool, 1000, 0);
        assert_int_equal(port_pool_take(&pool, 0), 1001);
}

static void test_ports_outside_of_a_new_range_stay_taken_until_released(_unused_ void **state) {
        port_pool_init(&pool, 1000, 1003);
        assert_takes(1000);
        assert_takes(1001);

        port_pool_set_range(&pool, 1001, 1002);
        assert_takes(1002); /* 1001 is ours already */
        assert_takes(-ENOSPC);

        port_pool_set_range(&pool, 2000, 2000);
        assert_takes(2000);
        assert_takes(-ENOSPC);
        port_pool_release(&pool, 1000);
        assert_takes(-ENOSPC); /* free, but not in the range */

        port_pool_set_range(&pool, 1000, 1003);
        assert_takes(1000);
        assert_takes(1003);
        assert_takes(-ENOSPC);
}

static void test_a_claimed_port_is_nobody_else_s(_unused_ void **state) {
        port_pool_init(&pool, 1000, 1003);
        assert_int_equal(port_pool_claim(&pool, 1000), 0);
        assert_int_equal(port_pool_claim(&pool, 1002), 0);
        assert_int_equal(port_pool_claim(&pool, 1002), -EADDRINUSE);
        assert_takes(1001);
        assert_int_equal(port_pool_claim(&pool, 1001), -EADDRINUSE);
        assert_takes(1003);
        assert_takes(-ENOSPC);

        port_pool_release(&pool, 1002);
        assert_int_equal(port_pool_claim(&pool, 1002), 0);
        port_pool_release(&pool, 1000);
        assert_takes(1000);
}

static void test_what_is_outside_of_the_range_cannot_be_claimed(_unused_ void **state) {
        static const uint16_t outside[] = {0, 1, 999, 1065, 65535};

        port_pool_init(&pool, 1000, 1064);
        for (size_t i = 0; i < ELEMENTSOF(outside); i++)
                assert_int_equal(port_pool_claim(&pool, outside[i]), -EADDRINUSE);
        assert_int_equal(port_pool_claim(&pool, 1000), 0);
        assert_int_equal(port_pool_claim(&pool, 1064), 0);

        port_pool_set_range(&pool, 1, 65535);
        for (size_t i = 1; i < ELEMENTSOF(outside); i++)
                assert_int_equal(port_pool_claim(&pool, outside[i]), 0);
        assert_int_equal(port_pool_claim(&pool, 0), -EADDRINUSE);
}

static void test_a_foreign_port_cannot_be_claimed(_unused_ void **state) {
        port_pool_init(&pool, 1000, 1001);
        assert_int_equal(port_pool_claim(&pool, 1000), 0);
        port_pool_set_foreign(&pool, 1000, NOW);
        assert_int_equal(port_pool_claim(&pool, 1000), -EADDRINUSE);
        assert_takes(1001);
        assert_takes(-ENOSPC);
}

/* Against what is written down port by port. */
static void test_random_operations(_unused_ void **state) {
        static struct {
                bool ours;
                usec_t foreign; /* when, or 0 */
        } model[2048];
        uint16_t first = 900, last = 1100;
        Prng random = prng_init();
        unsigned n_foreign = 0, n_exhausted = 0, n_claimed = 0;
        usec_t now = NOW;

        port_pool_init(&pool, first, last);
        for (unsigned i = 0; i < 100000; i++) {
                uint16_t port = (uint16_t) (800 + prng_below(&random, 500));

                now += prng_below(&random, 100 * USEC_PER_MSEC);
                switch (prng_below(&random, 18)) {

                case 0 ... 7: {
                        bool stale = false;

                        for (size_t p = 0; p < ELEMENTSOF(model); p++)
                                stale |= model[p].foreign > 0 && now - model[p].foreign >= PORT_POOL_FOREIGN_USEC;
                        if (stale) /* all are forgotten together */
                                for (size_t p = 0; p < ELEMENTSOF(model); p++)
                                        model[p].foreign = 0;

                        int want = first;
                        while (want <= last && (model[want].ours || model[want].foreign > 0))
                                want++;

                        int got = port_pool_take(&pool, now);
                        assert_int_equal(got, want <= last ? want : -ENOSPC);
                        n_exhausted += got < 0;
                        if (got < 0)
                                break;

                        if (prng_below(&random, 4) == 0) {
                                port_pool_set_foreign(&pool, (uint16_t) got, now);
                                model[got].foreign = now;
                                n_foreign++;
                        } else
                                model[got].ours = true;
                        break;
                }

                case 8 ... 14:
                        if (model[port].ours)
                                port_pool_release(&pool, port);
                        model[port].ours = false;
                        break;

                case 15:
                        if (prng_below(&random, 10) > 0)
                                break;
                        first = port;
                        last = (uint16_t) (port + prng_below(&random, 200));
                        port_pool_set_range(&pool, first, last);
                        break;

                case 16 ... 17: {
                        bool is_free = port >= first && port <= last && !model[port].ours && model[port].foreign == 0;

                        assert_int_equal(port_pool_claim(&pool, port), is_free ? 0 : -EADDRINUSE);
                        model[port].ours |= is_free;
                        n_claimed += is_free;
                        break;
                }
                }
        }

        assert_true(n_foreign > 1000 && n_exhausted > 1000 && n_claimed > 100);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_lowest_comes_first),
                cmocka_unit_test(test_what_is_released_is_taken_again_lowest_first),
                cmocka_unit_test(test_ranges_of_every_kind_are_used_up_exactly),
                cmocka_unit_test(test_a_foreign_port_is_skipped_and_tried_again_after_a_minute),
                cmocka_unit_test(test_all_ports_may_be_foreign),
                cmocka_unit_test(test_releasing_a_port_does_not_make_a_foreign_one_ours),
                cmocka_unit_test(test_what_another_program_still_holds_is_no_news),
                cmocka_unit_test(test_a_port_found_foreign_at_time_0_is_skipped_too),
                cmocka_unit_test(test_ports_outside_of_a_new_range_stay_taken_until_released),
                cmocka_unit_test(test_a_claimed_port_is_nobody_else_s),
                cmocka_unit_test(test_what_is_outside_of_the_range_cannot_be_claimed),
                cmocka_unit_test(test_a_foreign_port_cannot_be_claimed),
                cmocka_unit_test(test_random_operations),
        };

        return cmocka_run_group_tests_name("port-pool", tests, NULL, NULL);
}
