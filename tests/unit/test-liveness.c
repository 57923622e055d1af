/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What TCP_INFO says of a peer: that it is dead, that it takes nothing, or that all is well. */

#include <linux/tcp.h>

#include "harness.h"

#include "transport/liveness.h"

#define MSEC_PER_SEC 1000U
#define LIMIT_USEC (300 * USEC_PER_SEC)

static usec_t now;

/* Looks again, the usual time later. */
static LivenessVerdict look(Liveness *l, const struct tcp_info *info) {
        now += LIVENESS_LOOK_USEC;
        return liveness_judge(l, info, now);
}

static const struct tcp_info all_acked = {.tcpi_last_ack_recv = 600 * MSEC_PER_SEC, .tcpi_last_data_recv = 600 * MSEC_PER_SEC};

static struct tcp_info segment_unanswered_for(unsigned sec) {
        return (struct tcp_info){.tcpi_unacked = 1, .tcpi_retransmits = 7, .tcpi_last_ack_recv = sec * MSEC_PER_SEC,
                                 .tcpi_last_data_recv = sec * MSEC_PER_SEC};
}

/* Of a peer whose window is closed. @n_unanswered: probes */
static struct tcp_info closed_window(unsigned sec, uint8_t n_unanswered) {
        return (struct tcp_info){.tcpi_notsent_bytes = 1000, .tcpi_probes = n_unanswered, .tcpi_bytes_acked = 500,
                                 .tcpi_last_ack_recv = sec * MSEC_PER_SEC, .tcpi_last_data_recv = 600 * MSEC_PER_SEC};
}

static void test_what_has_been_acknowledged_needs_no_more_looks(_unused_ void **state) {
        Liveness l = {};

        assert_int_equal(look(&l, &all_acked), LIVENESS_IDLE);
}

static void test_silence_while_all_has_been_acknowledged_is_for_keepalive(_unused_ void **state) {
        Liveness l = {};
        struct tcp_info info = all_acked;

        info.tcpi_probes = 1;
        assert_int_equal(look(&l, &info), LIVENESS_IDLE);
        assert_int_equal(look(&l, &info), LIVENESS_IDLE);
}

static void test_a_peer_is_dead_once_a_segment_is_unanswered_for_90_seconds(_unused_ void **state) {
        Liveness l = {};

        for (unsigned sec = 0; sec < 90; sec += 10) {
                const struct tcp_info info = segment_unanswered_for(sec);

                assert_int_equal(look(&l, &info), LIVENESS_WAITING);
        }

        const struct tcp_info info = segment_unanswered_for(90);
        assert_int_equal(look(&l, &info), LIVENESS_DEAD);
}

static void test_a_segment_that_is_on_its_way_is_not_unanswered(_unused_ void **state) {
        Liveness l = {};
        struct tcp_info info = segment_unanswered_for(100);

        info.tcpi_retransmits = 0;
        assert_int_equal(look(&l, &info), LIVENESS_WAITING);
        assert_int_equal(look(&l, &info), LIVENESS_WAITING);
}

/* All that it sends acknowledges the same, so the kernel does not count that as an acknowledgement. */
static void test_a_peer_that_sends_is_alive(_unused_ void **state) {
        Liveness l = {};
        struct tcp_info info = segment_unanswered_for(200);

        info.tcpi_last_data_recv = MSEC_PER_SEC;
        assert_int_equal(look(&l, &info), LIVENESS_WAITING);
        assert_int_equal(look(&l, &info), LIVENESS_WAITING);
}

static void test_a_peer_that_does_not_read_is_alive_for_as_long_as_it_answers_probes(_unused_ void **state) {
        Liveness l = {};

        for (unsigned i = 0; i < 1000; i++) {
                const struct tcp_info info = closed_window(i * 10 % 120, 0);

                assert_int_equal(look(&l, &info), LIVENESS_WAITING);
        }
}

/* The look comes while the answer to a probe is under way, 120 s after the answer to the one before. */
static void test_a_probe_that_has_just_been_sent_is_not_unanswered(_unused_ void **state) {
        Liveness l = {};
        const struct tcp_info before = closed_window(110, 0), probed = closed_window(120, 1), answered = closed_window(9, 0);

        assert_int_equal(look(&l, &before), LIVENESS_WAITING);
        assert_int_equal(look(&l, &probed), LIVENESS_WAITING);
        assert_int_equal(look(&l, &answered), LIVENESS_WAITING);
        assert_int_equal(look(&l, &probed), LIVENESS_WAITING);
}

static void test_a_peer_that_did_not_read_is_dead_once_a_probe_is_unanswered(_unused_ void **state) {
        Liveness l = {};
        const struct tcp_info probed = closed_window(120, 1), unanswered = closed_window(130, 1);

        assert_int_equal(look(&l, &probed), LIVENESS_WAITING);
        assert_int_equal(look(&l, &unanswered), LIVENESS_DEAD);
}

static void test_a_peer_that_may_only_take_nothing_for_a_time_is_stuck_after_that(_unused_ void **state) {
        Liveness l = {.limit = LIMIT_USEC, .taken_at = now};
        const struct tcp_info info = closed_window(5, 0);
        usec_t began = now;

        assert_int_equal(look(&l, &info), LIVENESS_WAITING); /* 500 bytes since it was looked at last */
        began = now;
        while (now - began < LIMIT_USEC - LIVENESS_LOOK_USEC)
                assert_int_equal(look(&l, &info), LIVENESS_WAITING);
        assert_int_equal(look(&l, &info), LIVENESS_STUCK);
}

static void test_it_is_not_stuck_while_it_takes_a_little(_unused_ void **state) {
        Liveness l = {.limit = LIMIT_USEC, .taken_at = now};

        for (unsigned i = 0; i < 1000; i++) {
                struct tcp_info info = closed_window(5, 0);

                info.tcpi_bytes_acked += i / 20; /* a byte in 200 s */
                assert_int_equal(look(&l, &info), LIVENESS_WAITING);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_has_been_acknowledged_needs_no_more_looks),
                cmocka_unit_test(test_silence_while_all_has_been_acknowledged_is_for_keepalive),
                cmocka_unit_test(test_a_peer_is_dead_once_a_segment_is_unanswered_for_90_seconds),
                cmocka_unit_test(test_a_segment_that_is_on_its_way_is_not_unanswered),
                cmocka_unit_test(test_a_peer_that_sends_is_alive),
                cmocka_unit_test(test_a_peer_that_does_not_read_is_alive_for_as_long_as_it_answers_probes),
                cmocka_unit_test(test_a_probe_that_has_just_been_sent_is_not_unanswered),
                cmocka_unit_test(test_a_peer_that_did_not_read_is_dead_once_a_probe_is_unanswered),
                cmocka_unit_test(test_a_peer_that_may_only_take_nothing_for_a_time_is_stuck_after_that),
                cmocka_unit_test(test_it_is_not_stuck_while_it_takes_a_little),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
