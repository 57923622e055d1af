/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where a replay begins, and that it is the same however it is taken: in one go, or resumed after each byte. */

#include "harness.h"

#include "prng.h"
#include "telnet/replay.h"

/* Where a replay begins of which these are the first bytes; they are in two pieces, cut anywhere. */
static void assert_begin(size_t want, size_t size, const uint8_t *p, size_t n) {
        for (size_t cut = 0; cut <= n; cut++) {
                struct iovec iov[] = {{(void *) p, cut}, {(void *) (p + cut), n - cut}};

                assert_int_equal(replay_begin(iov, ELEMENTSOF(iov), size), want);
        }
}

static void test_it_begins_behind_a_line_within_its_first_quarter(_unused_ void **state) {
        assert_begin(4, 16, BYTES("abc\ndefghijklmno"));
        assert_begin(0, 15, BYTES("abc\ndefghijklmn"));
        assert_begin(1, 16, BYTES("\n\n\nxxxxxxxxxxxxx"));
        assert_begin(0, 3, BYTES("\n\n\n"));
        assert_begin(0, 0, BYTES(""));
}

static void test_and_within_4_kib(_unused_ void **state) {
        uint8_t text[REPLAY_BEGIN_MAX];

        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = '\n';
        struct iovec iov = {text, sizeof text};
        assert_int_equal(replay_begin(&iov, 1, 1 << 20), sizeof text);
        assert_int_equal(replay_begin(&iov, 1, 4 * sizeof text), sizeof text);
        assert_int_equal(replay_begin(&iov, 1, 4 * sizeof text - 1), 0);
}

static void test_without_a_line_it_begins_with_a_character(_unused_ void **state) {
        assert_begin(1, 100, BYTES("\xa9\xc3\xa9"));
        assert_begin(2, 100, BYTES("\x94\x80\xe2\x94\x80"));
        assert_begin(3, 100, BYTES("\x9f\x98\x80\xf0\x9f\x98\x80"));
        assert_begin(0, 100, BYTES("\xc3\xa9"));
        assert_begin(0, 100, BYTES("\x80\x80\x80\x80z"));
        assert_begin(3, 100, BYTES("\x80\x80\x80"));
}

/* @n bytes, of which it is resumed each @n_in and @n_out bytes. Returns: how many there are in @out. */
static size_t filter(const uint8_t *p, size_t n, size_t n_in, size_t n_out, uint8_t *out) {
        Replay r = {.end = n};
        size_t size = 0;

        for (size_t at = 0; at < n;) {
                size_t seen = MIN(n - at, MAX(n_in, (size_t) REPLAY_INPUT_MIN)), used;
                _cleanup_free_ uint8_t *in = malloc(seen);

                assert_non_null(in);
                memcpy(in, p + at, seen);
                size_t k = replay_filter(&r, in, seen, at + seen < n, out + size, n_out, &used);
                assert_in_range(k, 0, n_out);
                assert_in_range(used, MAX(k, (size_t) 1), seen);
                at += used;
                size += k;
        }

        return size;
}

static void assert_replay(const uint8_t *p, size_t n, const uint8_t *want, size_t n_want) {
        uint8_t out[256];

        for (size_t n_out = 1; n_out <= sizeof out; n_out++) {
                assert_in_range(n, 0, sizeof out);
                assert_int_equal(filter(p, n, n, n_out, out), n_want);
                assert_memory_equal(out, want, n_want);
        }
}

static void test_queries_are_left_out(_unused_ void **state) {
        assert_replay(BYTES("a\033[6nb\005c\x9b" "6nd\033]10;?\ae\033[1mf"), BYTES("abcde\033[1mf"));
        assert_replay(BYTES("\033[6n\033[6n"), BYTES(""));
}

static void test_a_query_that_is_not_complete_is_not(_unused_ void **state) {
        assert_replay(BYTES("a\033[6"), BYTES("a\033[6"));
        assert_replay(BYTES("a\033]10;?"), BYTES("a\033]10;?"));
        assert_replay(BYTES("a\033"), BYTES("a\033"));
}

/* Resumed within the character as well, where only the record knows what came before */
static void test_0x9b_is_csi_only_outside_utf_8(_unused_ void **state) {
        assert_replay(BYTES("\xc4\x9b" "6n"), BYTES("\xc4\x9b" "6n"));
        assert_replay(BYTES("\xe4\xba\x9b" "6n"), BYTES("\xe4\xba\x9b" "6n"));
        assert_replay(BYTES("\xf0\x9f\x9b\x9b" "6n"), BYTES("\xf0\x9f\x9b\x9b" "6n"));
        assert_replay(BYTES("\xe0\x9b" "6n"), BYTES("\xe0"));
        assert_replay(BYTES("\xc4\xc4\x9b" "6n"), BYTES("\xc4\xc4\x9b" "6n"));
        assert_replay(BYTES("\xbf\x9b" "6n"), BYTES("\xbf"));
        assert_replay(BYTES("a\xc2\x9b" "6n"), BYTES("a"));
}

static void test_what_a_query_has_cut_does_not_go_on(_unused_ void **state) {
        assert_replay(BYTES("\033[\033[6n6n"), BYTES("\033[\x18" "6n"));
        assert_replay(BYTES("\033[\033[6n\033[6n6n"), BYTES("\033[\x18" "6n"));
        assert_replay(BYTES("\033[\005\033[6n6n"), BYTES("\033[\x18" "6n"));
        assert_replay(BYTES("\033\033\033[6n[6n"), BYTES("\033\033\x18[6n"));
        assert_replay(BYTES("\033]10;\033[6n?\a"), BYTES("\033]10;\x18?\a"));
        assert_replay(BYTES("\033P+q\033Z41\033\\"), BYTES("\033P+q\x18" "41\033\\"));
        assert_replay(BYTES("\033[1m\033[6n6n"), BYTES("\033[1m6n"));
}

static void test_the_longest_query(_unused_ void **state) {
        uint8_t text[3 * REPLAY_INPUT_MIN], out[sizeof text];

        memset(text, '4', sizeof text);
        memcpy(text + 100, "\033P+q", 4);
        memcpy(text + 100 + REPLAY_INPUT_MIN - 2, "\033\\", 2);
        assert_int_equal(filter(text, sizeof text, sizeof text, sizeof out, out), sizeof text - REPLAY_INPUT_MIN);

        memset(text + 100 + REPLAY_INPUT_MIN - 2, '4', 2);
        memcpy(text + 100 + REPLAY_INPUT_MIN - 1, "\033\\", 2);
        assert_int_equal(filter(text, sizeof text, sizeof text, sizeof out, out), sizeof text);
        assert_memory_equal(out, text, sizeof text);
}

static void test_the_same_however_it_is_resumed(_unused_ void **state) {
        static const uint8_t favourites[] = "\033\033[]P\\;?016ncq+$\005\a\x18\xc2\x9b\x9d\x90\x9c\xc4";
        uint8_t text[6000], whole[sizeof text], resumed[sizeof text];
        Prng random = prng_init();

        for (unsigned i = 0; i < 500; i++) {
                prng_fill(&random, text, sizeof text, favourites, sizeof favourites - 1);
                size_t size = filter(text, sizeof text, sizeof text, sizeof whole, whole);
                size_t n_in = prng_below(&random, sizeof text), n_out = 1 + prng_below(&random, i % 2 ? 4 : 5000);

                assert_int_equal(filter(text, sizeof text, n_in, n_out, resumed), size);
                assert_memory_equal(resumed, whole, size);

                /* Nothing is left to be left out. */
                assert_int_equal(filter(whole, size, size, sizeof resumed, resumed), size);
                assert_memory_equal(resumed, whole, size);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_begins_behind_a_line_within_its_first_quarter),
                cmocka_unit_test(test_and_within_4_kib),
                cmocka_unit_test(test_without_a_line_it_begins_with_a_character),
                cmocka_unit_test(test_queries_are_left_out),
                cmocka_unit_test(test_a_query_that_is_not_complete_is_not),
                cmocka_unit_test(test_0x9b_is_csi_only_outside_utf_8),
                cmocka_unit_test(test_what_a_query_has_cut_does_not_go_on),
                cmocka_unit_test(test_the_longest_query),
                cmocka_unit_test(test_the_same_however_it_is_resumed),
        };

        return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
