/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The bounded queue of bytes: what goes in comes out in order, never more than the bound is in it, and while
 * it is empty it costs nothing. */

#include "harness.h"

#include "basic/buffer.h"
#include "prng.h"

static void assert_content(const Buffer *b, const char *want) {
        assert_int_equal(b->size, strlen(want));
        if (b->size > 0)
                assert_memory_equal(buffer_data(b), want, b->size);
}

static void test_bytes_come_out_in_order(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(100);

        assert_int_equal(buffer_append(&b, "hello ", 6), 0);
        assert_int_equal(buffer_append(&b, "world", 5), 0);
        assert_content(&b, "hello world");
        buffer_consume(&b, 6);
        assert_content(&b, "world");
        assert_int_equal(buffer_append(&b, "!", 1), 0);
        assert_content(&b, "world!");
}

static void test_the_bound_can_be_reached_exactly(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(4);

        assert_int_equal(buffer_append(&b, "abc", 3), 0);
        assert_int_equal(buffer_space(&b), 1);
        assert_int_equal(buffer_append(&b, "d", 1), 0);
        assert_int_equal(buffer_space(&b), 0);
        assert_content(&b, "abcd");
}

static void test_what_exceeds_the_bound_is_refused_as_a_whole(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(4);

        assert_int_equal(buffer_append(&b, "abc", 3), 0);
        assert_int_equal(buffer_append(&b, "de", 2), -ENOBUFS);
        assert_int_equal(buffer_append(&b, "de", SIZE_MAX), -ENOBUFS);
        assert_content(&b, "abc");
}

static void test_what_is_consumed_makes_room_again(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(4);

        assert_int_equal(buffer_append(&b, "abcd", 4), 0);
        buffer_consume(&b, 2);
        assert_int_equal(buffer_append(&b, "ef", 2), 0);
        assert_content(&b, "cdef");
}

static void test_an_empty_buffer_owns_no_memory(_unused_ void **state) {
        Buffer b = BUFFER_INIT(100);

        assert_null(b.memory);
        assert_int_equal(buffer_append(&b, "", 0), 0);
        assert_null(b.memory);

        assert_int_equal(buffer_append(&b, "abc", 3), 0);
        buffer_consume(&b, 3);
        assert_null(b.memory);

        assert_non_null(buffer_reserve(&b, 10));
        buffer_commit(&b, 0);
        assert_null(b.memory);
}

static void test_an_emptied_buffer_keeps_its_bound(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(4);

        assert_int_equal(buffer_append(&b, "abcd", 4), 0);
        buffer_clear(&b);
        assert_int_equal(b.size, 0);
        assert_int_equal(buffer_append(&b, "abcde", 5), -ENOBUFS);
        assert_int_equal(buffer_append(&b, "abcd", 4), 0);
}

/* Callers hand buffer_data() and size to send() and memcpy() without asking first whether there is any. */
static void test_the_data_of_an_empty_buffer_may_be_asked_for(_unused_ void **state) {
        Buffer b = BUFFER_INIT(4);
        volatile uintptr_t p = (uintptr_t) buffer_data(&b);

        (void) p;
        assert_int_equal(b.size, 0);
}

static void test_less_may_be_committed_than_was_reserved(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(100);

        assert_int_equal(buffer_append(&b, "ab", 2), 0);
        uint8_t *p = buffer_reserve(&b, 50);
        assert_non_null(p);
        memcpy(p, "cd", 2);
        assert_content(&b, "ab");
        buffer_commit(&b, 2);
        assert_content(&b, "abcd");
}

static void test_no_more_than_the_bound_can_be_reserved(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(10);

        assert_int_equal(buffer_append(&b, "ab", 2), 0);
        assert_null(buffer_reserve(&b, 9));
        assert_null(buffer_reserve(&b, SIZE_MAX));
        assert_non_null(buffer_reserve(&b, 8));
        assert_content(&b, "ab");
}

/* Long enough that the queue moves, grows and empties many times, next to a model that is too simple to be
 * wrong. */
static void test_any_sequence_of_operations_is_a_queue(_unused_ void **state) {
        enum { MAX_SIZE = 5000 };
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(MAX_SIZE);
        Prng random = prng_init();
        uint8_t model[MAX_SIZE];
        size_t size = 0;

        for (unsigned i = 0; i < 100000; i++) {
                uint8_t data[2000];
                size_t n = prng_below(&random, prng_below(&random, 50) == 0 ? sizeof data : 100);

                switch (prng_below(&random, 5)) {

                case 0:
                case 1:
                        memset(data, (int) i, n);
                        if (buffer_append(&b, data, n) == 0) {
                                assert_true(size + n <= MAX_SIZE);
                                memcpy(model + size, data, n);
                                size += n;
                        } else
                                assert_true(size + n > MAX_SIZE);
                        break;

                case 2: {
                        uint8_t *p = buffer_reserve(&b, n);

                        assert_int_equal(p != NULL, size + n <= MAX_SIZE);
                        if (p) {
                                size_t used = n / 2;

                                memset(p, (int) i, n);
                                memset(model + size, (int) i, used);
                                buffer_commit(&b, used);
                                size += used;
                        }
                        break;
                }

                default:
                        n = MIN(n, size);
                        buffer_consume(&b, n);
                        memmove(model, model + n, size - n);
                        size -= n;
                }

                assert_int_equal(b.size, size);
                assert_int_equal(buffer_space(&b), MAX_SIZE - size);
                if (size > 0)
                        assert_memory_equal(buffer_data(&b), model, size);
        }
}

/* A queue that is never empty, as behind a slow client, does not grow beyond what is in it. */
static void test_memory_is_in_proportion_to_what_is_queued(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(1000000);
        uint8_t data[100] = {};

        assert_int_equal(buffer_append(&b, data, sizeof data), 0);
        for (unsigned i = 0; i < 100000; i++) {
                assert_int_equal(buffer_append(&b, data, sizeof data), 0);
                buffer_consume(&b, sizeof data);
        }

        assert_in_range(b.allocated, sizeof data, 1024);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bytes_come_out_in_order),
                cmocka_unit_test(test_the_bound_can_be_reached_exactly),
                cmocka_unit_test(test_what_exceeds_the_bound_is_refused_as_a_whole),
                cmocka_unit_test(test_what_is_consumed_makes_room_again),
                cmocka_unit_test(test_an_empty_buffer_owns_no_memory),
                cmocka_unit_test(test_an_emptied_buffer_keeps_its_bound),
                cmocka_unit_test(test_the_data_of_an_empty_buffer_may_be_asked_for),
                cmocka_unit_test(test_less_may_be_committed_than_was_reserved),
                cmocka_unit_test(test_no_more_than_the_bound_can_be_reserved),
                cmocka_unit_test(test_any_sequence_of_operations_is_a_queue),
                cmocka_unit_test(test_memory_is_in_proportion_to_what_is_queued),
        };

        return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
