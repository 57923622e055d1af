/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What clients type at a console: each reader gets every byte and every break once and in order, stops where it is to, and
 * what nobody needs has no memory. */

#include "harness.h"

#include "console/input-ring.h"

static InputRing ring;

static int begin(_unused_ void **state) {
        input_ring_init(&ring);
        return 0;
}

static int end(_unused_ void **state) {
        input_ring_done(&ring);
        return 0;
}

/* A reader, who gets what is typed from now on */
static InputMark enter(void) {
        return input_ring_end(&ring);
}

static void type(const char *text) {
        for (; *text; text++)
                if (*text == '!')
                        assert_int_equal(input_ring_append_break(&ring), 0);
                else
                        assert_int_equal(input_ring_append(&ring, text, 1), 0);
}

/* Reads up to @limit, @step bytes at a time at most, and compares it with @expected, in which "!" is a break. */
static void assert_reads(InputMark *c, InputMark limit, size_t step, const char *expected) {
        char text[256];
        size_t size = 0;

        for (;;) {
                struct iovec iov[3];

                if (input_ring_to_break(&ring, c, limit) == 0) {
                        input_ring_pass_break(&ring, c);
                        text[size++] = '!';
                        continue;
                }

                size_t n = input_ring_gather(&ring, c, limit, iov, ELEMENTSOF(iov));
                if (n == 0)
                        break;

                size_t k = MIN(iov[0].iov_len, step);
                memcpy(text + size, iov[0].iov_base, k);
                size += k;
                c->position += k;
        }

        text[size] = 0;
        assert_string_equal(text, expected);
        assert_true(input_ring_has_reached(&ring, c, limit));
}

static void test_bytes_and_breaks_are_read_in_their_order(_unused_ void **state) {
        static const char typed[] = "!a!!bcd!";

        for (size_t step = 1; step < sizeof typed; step++) {
                InputMark c = enter();

                type(typed);
                assert_false(input_ring_has_reached(&ring, &c, INPUT_NO_MARK));
                assert_reads(&c, INPUT_NO_MARK, step, typed);
        }
}

static void test_a_new_reader_gets_only_what_is_typed_later(_unused_ void **state) {
        InputMark first = enter();

        type("a!");
        InputMark second = enter();
        type("!b");
        assert_reads(&second, INPUT_NO_MARK, 9, "!b");
        assert_reads(&first, INPUT_NO_MARK, 9, "a!!b");
}

/* That breaks lie at the same position does not make them one place. */
static void test_a_mark_is_between_two_breaks_at_one_position(_unused_ void **state) {
        InputMark c = enter();

        type("ab!");
        InputMark mark = input_ring_end(&ring);
        type("!cd");
        assert_reads(&c, mark, 9, "ab!");
        assert_false(input_ring_has_reached(&ring, &c, INPUT_NO_MARK));

        InputMark copy = c; /* goes on in its place */
        assert_reads(&copy, INPUT_NO_MARK, 9, "!cd");
}

static void test_a_reader_that_is_too_far_behind_loses_the_oldest_and_their_breaks(_unused_ void **state) {
        static char much[INPUT_RING_MAX + RING_BLOCK_SIZE];
        InputMark slow = enter(), quick = enter();
        struct iovec iov[INPUT_RING_MAX / RING_BLOCK_SIZE + 3];
        size_t size = 0;

        type("x!y");
        memset(much, 'm', sizeof much);
        assert_int_equal(input_ring_append(&ring, much, sizeof much), 0);
        type("!z");

        uint64_t lost = input_ring_recover(&ring, &slow);
        assert_in_range(lost, RING_BLOCK_SIZE, 2 * RING_BLOCK_SIZE);
        assert_int_not_equal(input_ring_to_break(&ring, &slow, INPUT_NO_MARK), 0);
        size_t n = input_ring_gather(&ring, &slow, INPUT_NO_MARK, iov, ELEMENTSOF(iov));
        for (size_t i = 0; i < n; i++)
                size += iov[i].iov_len;
        assert_int_equal(size, 2 + sizeof much - lost); /* up to the last break */
        slow.position += size;
        assert_reads(&slow, INPUT_NO_MARK, 9, "!z");

        assert_int_equal(input_ring_recover(&ring, &quick), lost);
        assert_int_equal(input_ring_recover(&ring, &quick), 0);
}

static void test_breaks_have_a_bound(_unused_ void **state) {
        InputMark c = enter();

        for (size_t n = INPUT_BREAKS_MAX; n > 0; n--) {
                assert_int_equal(input_ring_break_space(&ring, &c), n);
                assert_int_equal(input_ring_append_break(&ring), 0);
        }
        assert_int_equal(input_ring_break_space(&ring, &c), 0);

        /* One that has been taken makes room for another. */
        input_ring_pass_break(&ring, &c);
        input_ring_trim(&ring, &c);
        assert_int_equal(input_ring_break_space(&ring, &c), 1);
}

static void test_a_reader_that_is_too_many_breaks_behind_loses_the_oldest(_unused_ void **state) {
        InputMark slow = enter(), quick = enter();
        size_t n = 0;

        for (size_t i = 0; i < INPUT_BREAKS_MAX + 10; i++) {
                assert_int_equal(input_ring_append_break(&ring), 0);
                assert_int_equal(input_ring_to_break(&ring, &quick, INPUT_NO_MARK), 0);
                input_ring_pass_break(&ring, &quick);
                assert_int_equal(input_ring_break_space(&ring, &quick), INPUT_BREAKS_MAX);
        }

        for (; input_ring_to_break(&ring, &slow, INPUT_NO_MARK) == 0; n++)
                input_ring_pass_break(&ring, &slow);
        assert_int_equal(n, INPUT_BREAKS_MAX);
        assert_true(input_ring_has_reached(&ring, &slow, INPUT_NO_MARK));
}

static void test_there_is_memory_only_for_what_has_not_been_read(_unused_ void **state) {
        InputMark slow = enter(), quick = enter();

        for (unsigned round = 0; round < 3; round++) {
                type("key!");
                assert_reads(&quick, INPUT_NO_MARK, 9, "key!");
                input_ring_trim(&ring, &slow);
                assert_non_null(ring.breaks);
                assert_reads(&slow, INPUT_NO_MARK, 9, "key!");
                input_ring_trim(&ring, &slow);
                assert_null(ring.breaks);
                assert_null(ring.bytes.slots);
        }

        type("nobody reads it!");
        input_ring_trim(&ring, NULL);
        assert_null(ring.breaks);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_bytes_and_breaks_are_read_in_their_order, begin, end),
                cmocka_unit_test_setup_teardown(test_a_new_reader_gets_only_what_is_typed_later, begin, end),
                cmocka_unit_test_setup_teardown(test_a_mark_is_between_two_breaks_at_one_position, begin, end),
                cmocka_unit_test_setup_teardown(test_a_reader_that_is_too_far_behind_loses_the_oldest_and_their_breaks, begin,
                                                end),
                cmocka_unit_test_setup_teardown(test_breaks_have_a_bound, begin, end),
                cmocka_unit_test_setup_teardown(test_a_reader_that_is_too_many_breaks_behind_loses_the_oldest, begin, end),
                cmocka_unit_test_setup_teardown(test_there_is_memory_only_for_what_has_not_been_read, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
