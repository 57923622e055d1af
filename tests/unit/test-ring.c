/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A console's output and those who read it: each cursor reads every byte once and in order, until the bound is
 * exceeded, and only then loses any; memory is there for what somebody needs, and for nothing else. The memory is
 * watched through malloc() and calloc(), which the linker wraps for this test and which can be made to fail.
 */

#include "harness.h"

#include "console/ring.h"
#include "prng.h"

#define BLOCK RING_BLOCK_SIZE

static size_t n_allocations; /* that have not been freed */
static size_t n_until_failure = SIZE_MAX;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);

static bool memory_is_short(void) {
        if (n_until_failure == SIZE_MAX)
                return false;

        if (n_until_failure == 0)
                return true;

        n_until_failure--;
        return false;
}

void *__wrap_malloc(size_t n) {
        void *p = memory_is_short() ? NULL : __real_malloc(n);

        n_allocations += !!p;
        return p;
}

void *__wrap_calloc(size_t n, size_t size) {
        void *p = memory_is_short() ? NULL : __real_calloc(n, size);

        n_allocations += !!p;
        return p;
}

void __wrap_free(void *p) {
        n_allocations -= !!p;
        __real_free(p);
}

/* The byte at a position: no two blocks are alike, nor the same place a power of two away. */
static uint8_t byte_at(uint64_t position) {
        uint64_t z = (position + 1) * 0x9e3779b97f4a7c15;

        return (uint8_t) (z >> 56 ^ z >> 29);
}

static int append_result(Ring *r, size_t n) {
        _cleanup_free_ uint8_t *data = malloc(MAX(n, (size_t) 1));

        assert_non_null(data);
        for (size_t i = 0; i < n; i++)
                data[i] = byte_at(r->end + i);

        return ring_append(r, data, n);
}

static void append(Ring *r, size_t n) {
        uint64_t end = r->end;

        assert_int_equal(append_result(r, n), 0);
        assert_int_equal(r->end, end + n);
}

static size_t count_blocks(const Ring *r) {
        size_t n = 0;

        for (size_t i = 0; i < r->n_slots; i++)
                n += !!r->slots[i].block;

        return n;
}

static size_t count_marks(const Ring *r) {
        size_t n = 0;

        for (size_t i = 0; i < r->n_slots; i++)
                n += r->slots[i].cursors;

        return n;
}

static RingCursor enter(Ring *r, uint64_t position) {
        RingCursor c;

        memset(&c, 0xaa, sizeof c);
        assert_int_equal(ring_enter(r, &c), 0);
        assert_int_equal(c.position, r->end);
        ring_move(r, &c, position);
        assert_int_equal(c.position, position);
        return c;
}

/* What is true of a ring at any time. */
static void assert_sound(const Ring *r) {
        assert_int_equal(r->begin % BLOCK, 0);
        assert_true(r->begin <= r->end);
        assert_int_equal(r->n_slots & (r->n_slots - 1), 0);
        assert_int_equal(r->oldest, MIN(r->begin, r->held / BLOCK * BLOCK));
        assert_int_equal(count_blocks(r), (r->end - r->oldest + BLOCK - 1) / BLOCK);
        assert_int_equal(n_allocations, count_blocks(r) + (r->n_slots > 0));
}

/* Reads from @position up to the end: what ring_read() copies, and what ring_gather() says is there, with @n_max
 * vectors at a time. */
static void assert_readable(const Ring *r, uint64_t position, size_t n_max) {
        static uint8_t copy[3 * BLOCK / 2];

        for (uint64_t p = position; p < r->end; p += sizeof copy) {
                size_t n = MIN(r->end - p, sizeof copy);

                ring_read(r, p, copy, n);
                for (size_t i = 0; i < n; i++)
                        if (copy[i] != byte_at(p + i))
                                fail_msg("wrong byte copied from %llu", (unsigned long long) (p + i));
        }

        while (position < r->end) {
                struct iovec iov[16];
                size_t n = ring_gather(r, position, iov, MIN(n_max, ELEMENTSOF(iov)));

                assert_true(n > 0 && n <= n_max);
                for (size_t i = 0; i < n; i++) {
                        const uint8_t *p = iov[i].iov_base;

                        assert_true(iov[i].iov_len > 0);
                        for (size_t k = 0; k < iov[i].iov_len; k++, position++)
                                if (p[k] != byte_at(position))
                                        fail_msg("wrong byte at %llu", (unsigned long long) position);
                }
        }

        assert_int_equal(position, r->end);
}

static void test_nothing_is_allocated_before_the_first_byte(_unused_ void **state) {
        struct iovec iov;
        Ring r;

        ring_init(&r, 16 * BLOCK, 64 * BLOCK);
        assert_int_equal(ring_gather(&r, 0, &iov, 1), 0);
        assert_int_equal(ring_scrollback(&r), 0);
        assert_int_equal(ring_space(&r), 80 * BLOCK);
        ring_trim(&r);
        append(&r, 0);
        assert_int_equal(n_allocations, 0);
        assert_int_equal(r.n_slots, 0);

        append(&r, 1);
        assert_int_equal(count_blocks(&r), 1);
        ring_done(&r);
        assert_int_equal(n_allocations, 0);
}

static void test_a_cursor_needs_no_block_to_wait_for_the_first_byte(_unused_ void **state) {
        Ring r;

        ring_init(&r, 0, 64 * BLOCK);
        RingCursor c = enter(&r, 0);
        assert_int_equal(count_blocks(&r), 0);
        assert_int_equal(count_marks(&r), 1);
        ring_trim(&r);
        assert_int_equal(ring_space(&r), 64 * BLOCK);
        assert_sound(&r);

        append(&r, 3 * BLOCK);
        ring_trim(&r);
        assert_int_equal(r.begin, 0);
        assert_readable(&r, c.position, 16);

        ring_leave(&r, &c);
        ring_trim(&r);
        assert_int_equal(count_blocks(&r), 0);
        ring_done(&r);
        assert_int_equal(n_allocations, 0);
}

static void test_without_memory_there_is_no_cursor(_unused_ void **state) {
        RingCursor c;
        Ring r;

        ring_init(&r, 0, 64 * BLOCK);
        n_until_failure = 0;
        int error = ring_enter(&r, &c);
        n_until_failure = SIZE_MAX;
        assert_int_equal(error, -ENOMEM);
        assert_int_equal(count_marks(&r), 0);
        assert_sound(&r);

        assert_int_equal(ring_enter(&r, &c), 0);
        assert_int_equal(count_marks(&r), 1);

        /* The table is there now, and all that it takes. */
        n_until_failure = 0;
        error = ring_enter(&r, &c);
        n_until_failure = SIZE_MAX;
        assert_int_equal(error, 0);
        ring_done(&r);
}

static void test_what_is_appended_is_read_whichever_way_it_is_cut(_unused_ void **state) {
        static const size_t cuts[] = {1, 7, 4095, 4096, 4097, 8192, 20000};

        for (size_t i = 0; i < ELEMENTSOF(cuts); i++) {
                Ring r;

                ring_init(&r, 16 * BLOCK, 16 * BLOCK);
                for (size_t n = 0; n < 5 * BLOCK + 5; n += cuts[i])
                        append(&r, cuts[i]);

                for (size_t n_max = 1; n_max <= 16; n_max *= 4)
                        assert_readable(&r, 0, n_max);
                assert_sound(&r);
                ring_done(&r);
        }
}

static void test_gather_begins_within_a_block_and_ends_at_the_end(_unused_ void **state) {
        struct iovec iov[4];
        Ring r;

        ring_init(&r, 16 * BLOCK, 16 * BLOCK);
        append(&r, 3 * BLOCK + 10);

        assert_int_equal(ring_gather(&r, BLOCK - 1, iov, 2), 2);
        assert_int_equal(iov[0].iov_len, 1);
        assert_int_equal(iov[1].iov_len, BLOCK);
        assert_int_equal(ring_gather(&r, BLOCK - 1, iov, 4), 4);
        assert_int_equal(iov[3].iov_len, 10);
        assert_int_equal(ring_gather(&r, 3 * BLOCK, iov, 4), 1);
        assert_int_equal(ring_gather(&r, r.end, iov, 4), 0);
        assert_int_equal(ring_gather(&r, 0, iov, 0), 0);
        ring_done(&r);
}

/* The table of blocks is gone round many times, by a reader who keeps up. */
static void test_positions_go_on_as_the_table_wraps(_unused_ void **state) {
        Ring r;

        ring_init(&r, BLOCK, RING_LAG_MIN);
        RingCursor c = enter(&r, 0);
        for (unsigned i = 0; i < 300; i++) {
                append(&r, 1000);
                ring_trim(&r);
                assert_readable(&r, c.position, 2);
                ring_move(&r, &c, r.end);
                assert_int_equal(count_marks(&r), 1);
        }

        assert_int_equal(r.end, 300000);
        assert_int_equal(r.n_slots, 8);
        assert_sound(&r);
        ring_done(&r);
}

static void test_without_readers_the_scrollback_is_what_stays(_unused_ void **state) {
        static const uint64_t keep[] = {0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 16 * 1024};

        for (size_t i = 0; i < ELEMENTSOF(keep); i++) {
                Ring r;

                ring_init(&r, keep[i], 16 * BLOCK);
                for (unsigned n = 0; n < 100; n++) {
                        append(&r, 777);
                        ring_trim(&r);

                        assert_int_equal(ring_scrollback(&r), r.end > keep[i] ? r.end - keep[i] : 0);
                        assert_readable(&r, ring_scrollback(&r), 16);
                        assert_true(r.end - r.begin < keep[i] + BLOCK);
                        assert_sound(&r);
                }
                ring_done(&r);
        }
}

static void test_without_scrollback_what_is_read_leaves_no_block(_unused_ void **state) {
        Ring r;

        ring_init(&r, 0, 16 * BLOCK);
        append(&r, 2 * BLOCK);
        RingCursor c = enter(&r, 0);
        ring_trim(&r);
        assert_int_equal(count_blocks(&r), 2);

        ring_move(&r, &c, r.end);
        ring_trim(&r);
        assert_int_equal(count_blocks(&r), 0);
        assert_int_equal(r.begin, r.end);
        assert_int_equal(ring_scrollback(&r), r.end);
        assert_false(ring_has_lost(&r, &c));

        append(&r, 10);
        assert_readable(&r, c.position, 1);
        assert_sound(&r);
        ring_done(&r);
}

static void test_the_scrollback_cannot_bring_back_what_has_gone(_unused_ void **state) {
        Ring r;

        ring_init(&r, BLOCK, RING_LAG_MIN);
        append(&r, 10 * BLOCK);
        ring_trim(&r);
        ring_set_bounds(&r, 8 * BLOCK, RING_LAG_MIN);
        assert_int_equal(ring_scrollback(&r), 9 * BLOCK);

        append(&r, 4 * BLOCK);
        ring_trim(&r);
        assert_int_equal(ring_scrollback(&r), 9 * BLOCK);
        assert_readable(&r, 9 * BLOCK, 16);

        ring_set_bounds(&r, 10, RING_LAG_MIN);
        assert_int_equal(ring_scrollback(&r), r.end - 10);
        assert_int_equal(r.begin, 9 * BLOCK); /* for now */
        ring_trim(&r);
        assert_int_equal(r.begin, 13 * BLOCK);
        ring_done(&r);
}

static void test_several_cursors_and_the_one_that_lags_keeps_its_block_and_all_after_it(_unused_ void **state) {
        RingCursor c[3];
        Ring r;

        ring_init(&r, 0, 100 * BLOCK);
        append(&r, BLOCK);
        for (size_t i = 0; i < ELEMENTSOF(c); i++)
                c[i] = enter(&r, 100);
        assert_int_equal(r.slots[0].cursors, 3);

        for (unsigned i = 0; i < 50; i++) {
                append(&r, BLOCK);
                ring_move(&r, &c[0], r.end);
                ring_move(&r, &c[1], r.end - 10);
                ring_trim(&r);

                assert_int_equal(r.begin, 0);
                assert_int_equal(count_marks(&r), 3);
                assert_sound(&r);
        }
        assert_readable(&r, c[2].position, 16);

        /* It catches up in part: from its new block on everything stays. */
        ring_move(&r, &c[2], 20 * BLOCK + 1);
        ring_trim(&r);
        assert_int_equal(r.begin, 20 * BLOCK);
        assert_readable(&r, c[2].position, 16);

        /* It goes: the next one in need of something is c[1]. */
        ring_leave(&r, &c[2]);
        ring_trim(&r);
        assert_int_equal(r.begin, 50 * BLOCK);
        assert_int_equal(count_marks(&r), 2);
        assert_sound(&r);
        ring_done(&r);
}

static void test_a_cursor_marks_the_block_it_stands_in_and_no_other(_unused_ void **state) {
        Ring r;

        ring_init(&r, 16 * BLOCK, 16 * BLOCK);
        append(&r, 2 * BLOCK);
        RingCursor c = enter(&r, 0);
        assert_int_equal(r.slots[0].cursors, 1);

        ring_move(&r, &c, BLOCK - 1);
        assert_int_equal(r.slots[0].cursors, 1);
        ring_move(&r, &c, BLOCK);
        assert_int_equal(r.slots[0].cursors, 0);
        assert_int_equal(r.slots[1].cursors, 1);

        /* The one that will come next */
        ring_move(&r, &c, r.end);
        assert_int_equal(r.slots[2].cursors, 1);
        assert_null(r.slots[2].block);
        assert_int_equal(count_marks(&r), 1);

        /* Back again, into the scrollback, and away. */
        ring_move(&r, &c, 5);
        assert_int_equal(r.slots[0].cursors, 1);
        ring_leave(&r, &c);
        assert_int_equal(count_marks(&r), 0);
        ring_done(&r);
}

/* Whoever is at the end does not lose what comes, be it only trimmed before it is read. */
static void test_a_cursor_at_the_end_keeps_what_comes(_unused_ void **state) {
        static const size_t before[] = {0, 1, BLOCK - 1, BLOCK, 7 * BLOCK, 8 * BLOCK, 16 * BLOCK};

        for (size_t i = 0; i < ELEMENTSOF(before); i++) {
                Ring r;

                ring_init(&r, 0, 100 * BLOCK);
                append(&r, before[i]);
                ring_trim(&r);
                RingCursor c = enter(&r, r.end);

                /* The table grows, with the mark in it. */
                append(&r, 20 * BLOCK);
                assert_int_equal(count_marks(&r), 1);
                ring_trim(&r);
                assert_false(ring_has_lost(&r, &c));
                assert_readable(&r, c.position, 16);

                /* And shrinks. */
                ring_move(&r, &c, r.end);
                for (unsigned n = 0; n < 20; n++)
                        ring_trim(&r);
                assert_int_equal(r.n_slots, 8);
                assert_int_equal(count_marks(&r), 1);
                append(&r, BLOCK);
                ring_trim(&r);
                assert_readable(&r, c.position, 16);
                assert_sound(&r);
                ring_done(&r);
        }
}

static void test_a_block_s_mark_goes_with_the_block(_unused_ void **state) {
        Ring r;

        ring_init(&r, 0, RING_LAG_MIN);
        append(&r, 10);
        RingCursor lost = enter(&r, 0);

        /* As far as the slot that block 0 had is another's. */
        append(&r, 8 * BLOCK);
        assert_true(ring_has_lost(&r, &lost));
        RingCursor other = enter(&r, 8 * BLOCK);
        assert_int_equal(r.slots[0].cursors, 1);

        ring_leave(&r, &lost);
        assert_int_equal(r.slots[0].cursors, 1);
        ring_move(&r, &lost, r.begin);
        assert_false(ring_has_lost(&r, &lost));
        assert_int_equal(count_marks(&r), 2);
        ring_leave(&r, &other);
        assert_int_equal(count_marks(&r), 1);
        ring_done(&r);
}

static void test_nothing_is_kept_for_a_cursor_that_is_released(_unused_ void **state) {
        Ring r;

        ring_init(&r, BLOCK, 10 * BLOCK);
        RingCursor c = enter(&r, 0), other = enter(&r, 0);
        append(&r, 6 * BLOCK);
        ring_move(&r, &other, 2 * BLOCK + 1);
        assert_false(ring_has_lost(&r, &c));

        ring_release(&r, &c);
        assert_true(ring_has_lost(&r, &c));
        assert_int_equal(c.position, 0); /* from here on is what it has lost */
        ring_trim(&r);
        assert_int_equal(r.begin, 2 * BLOCK); /* the other one keeps what it needs */
        assert_int_equal(count_marks(&r), 1);

        ring_move(&r, &c, 3 * BLOCK);
        assert_false(ring_has_lost(&r, &c));
        assert_int_equal(count_marks(&r), 2);
        ring_release(&r, &c);
        ring_leave(&r, &c); /* its mark has gone already */
        assert_int_equal(count_marks(&r), 1);
        ring_done(&r);
}

static void test_the_lag_is_what_is_kept_beyond_the_scrollback_for_a_cursor_that_is_well_behind(_unused_ void **state) {
        Ring r;

        ring_init(&r, 3 * BLOCK, 20 * BLOCK);
        assert_int_equal(ring_lag(&r), 0);
        append(&r, 12 * BLOCK);
        ring_trim(&r);
        assert_int_equal(ring_lag(&r), 0); /* nobody lags */

        RingCursor c = enter(&r, r.end);
        append(&r, 3 * BLOCK);
        ring_trim(&r);
        assert_int_equal(ring_lag(&r), 0); /* it stands in the scrollback */
        append(&r, RING_LAG_MIN);
        ring_trim(&r);
        assert_int_equal(ring_lag(&r), 0); /* not yet */
        append(&r, 1);
        ring_trim(&r);
        assert_int_equal(ring_lag(&r), RING_LAG_MIN + 1);
        append(&r, 5 * BLOCK);
        assert_int_equal(ring_lag(&r), 5 * BLOCK + RING_LAG_MIN + 1);

        ring_move(&r, &c, r.end);
        ring_trim(&r);
        assert_int_equal(ring_lag(&r), 0);
        ring_leave(&r, &c);
        ring_done(&r);
}

/* With the cursor at 0: nothing is lost up to the bound, something is a block later at the latest. */
static void test_data_is_lost_when_the_bound_is_exceeded_and_only_then(_unused_ void **state) {
        static const struct {
                uint64_t keep, lag_max;
        } bounds[] = {{0, RING_LAG_MIN}, {1, RING_LAG_MIN}, {BLOCK, 3 * BLOCK}, {16 * 1024, 5 * BLOCK + 123}};
        static const size_t cuts[] = {1, 100, 4095, 4096, 4097, 8192, 60000};

        for (size_t i = 0; i < ELEMENTSOF(bounds); i++)
                for (size_t k = 0; k < ELEMENTSOF(cuts); k++) {
                        uint64_t bound = bounds[i].keep + bounds[i].lag_max;
                        Ring r;

                        ring_init(&r, bounds[i].keep, bounds[i].lag_max);
                        RingCursor c = enter(&r, 0);

                        while (r.end < bound) {
                                append(&r, MIN(cuts[k], bound - r.end));
                                ring_trim(&r);
                                assert_false(ring_has_lost(&r, &c));
                        }
                        assert_readable(&r, 0, 16);

                        while (r.end < bound + BLOCK) {
                                append(&r, MIN(cuts[k], bound + BLOCK - r.end));
                                assert_true(r.end - r.begin < bound + BLOCK);
                        }
                        assert_true(ring_has_lost(&r, &c));
                        assert_int_equal(r.begin, BLOCK);
                        assert_readable(&r, r.begin, 16);
                        ring_done(&r);
                }
}

static void test_space_is_what_can_be_appended_without_loss(_unused_ void **state) {
        Ring r;

        ring_init(&r, BLOCK, 10 * BLOCK);
        assert_int_equal(ring_space(&r), 11 * BLOCK);
        append(&r, 5 * BLOCK);
        RingCursor c = enter(&r, 2 * BLOCK + 50);

        /* Asking trims: blocks 0 and 1 are free. */
        assert_int_equal(ring_space(&r), 8 * BLOCK);
        assert_int_equal(r.begin, 2 * BLOCK);

        append(&r, ring_space(&r));
        assert_int_equal(ring_space(&r), 0);
        assert_false(ring_has_lost(&r, &c));
        assert_readable(&r, c.position, 16);

        ring_set_bounds(&r, 0, RING_LAG_MIN);
        assert_int_equal(ring_space(&r), 0); /* and not something below it */
        ring_done(&r);
}

static void test_an_append_larger_than_the_bound_leaves_its_end(_unused_ void **state) {
        static const uint64_t keep[] = {0, 10, 3 * BLOCK};
        static const size_t before[] = {0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 7};

        for (size_t i = 0; i < ELEMENTSOF(keep); i++)
                for (size_t k = 0; k < ELEMENTSOF(before); k++) {
                        uint64_t bound = keep[i] + RING_LAG_MIN;
                        Ring r;

                        ring_init(&r, keep[i], RING_LAG_MIN);
                        append(&r, before[k]);
                        RingCursor c = enter(&r, r.begin);
                        append(&r, 1000003);

                        assert_true(ring_has_lost(&r, &c));
                        assert_true(r.end - r.begin >= bound);
                        assert_true(r.end - r.begin < bound + BLOCK);
                        assert_readable(&r, r.begin, 16);
                        assert_true(r.n_slots <= 16);
                        assert_sound(&r);
                        ring_done(&r);
                }
}

static void test_a_lag_bound_that_is_too_small_is_raised(_unused_ void **state) {
        Ring r;

        ring_init(&r, 0, 0);
        assert_int_equal(r.lag_max, RING_LAG_MIN);
        append(&r, 3 * RING_LAG_MIN);
        assert_readable(&r, r.end - RING_LAG_MIN, 16);
        ring_done(&r);
}

static void test_smaller_bounds_take_effect_with_the_next_append(_unused_ void **state) {
        Ring r;

        ring_init(&r, 0, 100 * BLOCK);
        append(&r, 50 * BLOCK);
        RingCursor c = enter(&r, 0);
        ring_set_bounds(&r, 0, 10 * BLOCK);
        ring_trim(&r);
        assert_false(ring_has_lost(&r, &c));
        assert_readable(&r, 0, 16);

        append(&r, 1);
        assert_true(ring_has_lost(&r, &c));
        assert_int_equal(r.begin, 40 * BLOCK);
        assert_sound(&r);
        ring_done(&r);
}

static void test_a_table_that_a_lagging_cursor_made_large_shrinks(_unused_ void **state) {
        Ring r;

        ring_init(&r, 2 * BLOCK, 1024 * BLOCK);
        RingCursor c = enter(&r, 0);
        append(&r, 1);
        append(&r, 1000 * BLOCK);
        assert_int_equal(r.n_slots, 1024);
        assert_readable(&r, 0, 16);

        /* Not while it is needed, and not below what is in it. */
        ring_trim(&r);
        assert_int_equal(r.n_slots, 1024);

        ring_move(&r, &c, 900 * BLOCK);
        for (unsigned i = 0; i < 20; i++)
                ring_trim(&r);
        assert_true(r.n_slots >= 101 && r.n_slots <= 4 * 101);
        assert_int_equal(count_marks(&r), 1);
        assert_readable(&r, c.position, 16);
        assert_sound(&r);

        ring_leave(&r, &c);
        for (unsigned i = 0; i < 20; i++)
                ring_trim(&r);
        assert_int_equal(r.n_slots, 8);
        assert_readable(&r, ring_scrollback(&r), 16);
        assert_sound(&r);
        ring_done(&r);
}

static void test_when_memory_is_short_the_ring_is_as_it_was(_unused_ void **state) {
        /* Each of the allocations of an append that needs a larger table and ten blocks */
        for (size_t i = 0; i < 11; i++) {
                Ring r;

                ring_init(&r, 16 * BLOCK, 64 * BLOCK);
                append(&r, 3 * BLOCK + 5);
                RingCursor c = enter(&r, BLOCK);

                n_until_failure = 1 + i; /* the first is append_result()'s own */
                int error = append_result(&r, 10 * BLOCK);
                n_until_failure = SIZE_MAX;

                assert_int_equal(error, -ENOMEM);
                assert_int_equal(r.begin, 0);
                assert_int_equal(r.end, 3 * BLOCK + 5);
                assert_int_equal(count_marks(&r), 1);
                assert_readable(&r, 0, 16);
                assert_sound(&r);

                append(&r, 10 * BLOCK);
                assert_readable(&r, c.position, 16);
                assert_sound(&r);
                ring_done(&r);
                assert_int_equal(n_allocations, 0);
        }
}

/*
 * Against a model that keeps everything there ever was in one large array.
 */
typedef struct Model {
        uint8_t *data;
        RingCursor cursor[6];
        bool attached[6], exceeded[6]; /* exceeded: the bound was, since it was moved there */
} Model;

static void model_append(Model *m, Ring *r, Prng *random, size_t n) {
        uint64_t begin = r->begin, end = r->end, bound = r->keep + r->lag_max;

        for (size_t i = 0; i < n; i++)
                m->data[end + i] = (uint8_t) prng_next(random);
        assert_int_equal(ring_append(r, m->data + end, n), 0);
        assert_int_equal(r->end, end + n);
        if (n == 0)
                return;

        assert_true(r->end - r->begin < bound + BLOCK);
        assert_true(r->begin == begin || r->end - r->begin >= bound);

        for (size_t i = 0; i < ELEMENTSOF(m->cursor); i++) {
                RingCursor *c = &m->cursor[i];

                if (!m->attached[i])
                        continue;
                m->exceeded[i] |= r->end - c->position > bound;
                assert_true(!ring_has_lost(r, c) || m->exceeded[i]);
        }
}

/* The oldest byte that the scrollback or a cursor needs. */
static uint64_t model_oldest(const Model *m, const Ring *r) {
        uint64_t oldest = r->end - MIN(r->keep, r->end);

        for (size_t i = 0; i < ELEMENTSOF(m->cursor); i++)
                if (m->attached[i] && !ring_has_lost(r, &m->cursor[i]))
                        oldest = MIN(oldest, m->cursor[i].position);

        return oldest;
}

static void model_trim(const Model *m, Ring *r) {
        uint64_t want = MAX(r->begin, model_oldest(m, r) / BLOCK * BLOCK);

        ring_trim(r);
        assert_int_equal(r->begin, want);
}

static void model_move(Model *m, Ring *r, size_t i, uint64_t position) {
        if (!m->attached[i])
                assert_int_equal(ring_enter(r, &m->cursor[i]), 0);
        ring_move(r, &m->cursor[i], position);
        m->attached[i] = true;
        m->exceeded[i] = false;
        assert_int_equal(m->cursor[i].position, position);
}

static void model_read(Model *m, Ring *r, Prng *random, size_t i) {
        RingCursor *c = &m->cursor[i];
        uint64_t position = c->position;
        struct iovec iov[5];

        if (!m->attached[i])
                return;
        if (ring_has_lost(r, c)) {
                model_move(m, r, i, ring_scrollback(r));
                return;
        }

        size_t n = ring_gather(r, position, iov, 1 + prng_below(random, ELEMENTSOF(iov)));
        for (size_t k = 0; k < n; k++) {
                assert_memory_equal(iov[k].iov_base, m->data + position, iov[k].iov_len);
                position += iov[k].iov_len;
        }
        assert_true(n > 0 || position == r->end);

        if (prng_below(random, 4) == 0) /* a short write */
                position = c->position + prng_below(random, position - c->position + 1);
        model_move(m, r, i, position);
}

/* From what is there for the holder to the end */
static void assert_memory_equal_to_model(const Model *m, const Ring *r) {
        struct iovec iov[1];

        for (uint64_t p = r->oldest; p < r->end; p += iov[0].iov_len) {
                assert_int_equal(ring_gather(r, p, iov, 1), 1);
                assert_memory_equal(iov[0].iov_base, m->data + p, iov[0].iov_len);
        }
}

static void model_check(const Model *m, const Ring *r) {
        size_t n_marks = 0;

        assert_sound(r);
        for (size_t i = 0; i < ELEMENTSOF(m->cursor); i++)
                n_marks += m->attached[i] && !ring_has_lost(r, &m->cursor[i]);
        assert_int_equal(count_marks(r), n_marks);
        assert_int_equal(ring_scrollback(r), MAX(r->begin, r->end - MIN(r->end, r->keep)));
}

static size_t random_size(Prng *random) {
        switch (prng_below(random, 12)) {
        case 0:
                return prng_below(random, 200000);
        case 1 ... 3:
                return BLOCK * prng_below(random, 4) + prng_below(random, 3); /* near a block's edge */
        default:
                return prng_below(random, 3000);
        }
}

static void test_random_operations_against_a_large_array(_unused_ void **state) {
        const size_t size = 64U << 20;
        _cleanup_free_ uint8_t *data = malloc(size);
        Prng random = prng_init();
        Model m = {.data = data};
        unsigned n_operations = 0, n_lost = 0;
        Ring r;

        assert_non_null(data);
        n_allocations--; /* not the ring's */
        ring_init(&r, 3 * BLOCK, 10 * BLOCK);

        for (; r.end < size - 1000000; n_operations++) {
                size_t i = prng_below(&random, ELEMENTSOF(m.cursor));

                switch (prng_below(&random, 16)) {
                case 0 ... 3:
                        model_append(&m, &r, &random, random_size(&random));
                        break;
                case 4 ... 9:
                        n_lost += m.attached[i] && ring_has_lost(&r, &m.cursor[i]);
                        model_read(&m, &r, &random, i);
                        break;
                case 10:
                        model_move(&m, &r, i, r.begin + prng_below(&random, r.end - r.begin + 1));
                        break;
                case 11:
                        if (m.attached[i])
                                ring_leave(&r, &m.cursor[i]);
                        m.attached[i] = false;
                        break;
                case 12 ... 13:
                        model_trim(&m, &r);
                        break;
                case 14: {
                        uint64_t want = MAX(r.begin, model_oldest(&m, &r) / BLOCK * BLOCK);
                        size_t space = ring_space(&r);

                        assert_int_equal(r.begin, want); /* asking trims */
                        assert_true(space <= r.keep + r.lag_max);
                        if (prng_below(&random, 4) == 0) {
                                model_append(&m, &r, &random, space);
                                assert_int_equal(r.begin, want);
                        }
                        break;
                }
                case 15:
                        if (prng_below(&random, 4) == 0)
                                ring_hold(&r, UINT64_MAX);
                        else {
                                uint64_t from = MAX(r.oldest, r.held == UINT64_MAX ? 0 : r.held);

                                ring_hold(&r, from + prng_below(&random, r.end - from + 1));
                        }
                        assert_memory_equal_to_model(&m, &r);
                        if (prng_below(&random, 8) == 0)
                                ring_set_bounds(&r, prng_below(&random, 20 * BLOCK),
                                                prng_below(&random, 60 * BLOCK));
                        break;
                }

                model_check(&m, &r);
        }

        /* The random numbers have not missed what this is about. */
        assert_true(n_operations > 5000 && n_lost > 100);

        for (size_t i = 0; i < ELEMENTSOF(m.cursor); i++)
                if (m.attached[i])
                        ring_leave(&r, &m.cursor[i]);
        assert_int_equal(count_marks(&r), 0);
        ring_done(&r);
        assert_int_equal(n_allocations, 0);
        n_allocations++;
}

static void test_what_the_holder_needs_stays_though_cursors_lose_it(_unused_ void **state) {
        Ring r;

        ring_init(&r, 2 * BLOCK, 4 * BLOCK);
        append(&r, 3 * BLOCK / 2);
        ring_hold(&r, r.end);
        RingCursor c = enter(&r, r.end);
        for (unsigned i = 0; i < 20; i++) {
                append(&r, BLOCK);
                assert_sound(&r);
        }

        assert_true(ring_has_lost(&r, &c));
        assert_int_equal(r.end - r.begin, 7 * BLOCK - BLOCK / 2);
        assert_int_equal(r.oldest, BLOCK);
        assert_readable(&r, 3 * BLOCK / 2, 3);

        ring_hold(&r, r.end - BLOCK);
        assert_sound(&r);
        assert_int_equal(r.oldest, r.begin);
        ring_done(&r);
        assert_int_equal(n_allocations, 0);
}

/* It must not hold up a VM whose clients are waited for. */
static void test_what_only_the_holder_needs_takes_no_space(_unused_ void **state) {
        Ring held, free_of_it;

        ring_init(&held, BLOCK, 4 * BLOCK);
        ring_init(&free_of_it, BLOCK, 4 * BLOCK);
        ring_hold(&held, 0);
        for (unsigned i = 0; i < 40; i++) {
                append(&held, 1000);
                append(&free_of_it, 1000);
                assert_int_equal(ring_space(&held), ring_space(&free_of_it));
                assert_int_equal(ring_lag(&held), ring_lag(&free_of_it));
        }

        assert_int_equal(held.oldest, 0);
        ring_hold(&held, UINT64_MAX);
        assert_int_equal(count_blocks(&held), count_blocks(&free_of_it));
        ring_done(&held);
        ring_done(&free_of_it);
}

/* What one test leaves behind is not the next one's. */
static int setup(_unused_ void **state) {
        n_allocations = 0;
        n_until_failure = SIZE_MAX;
        return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_nothing_is_allocated_before_the_first_byte),
                TEST(test_a_cursor_needs_no_block_to_wait_for_the_first_byte),
                TEST(test_without_memory_there_is_no_cursor),
                TEST(test_what_is_appended_is_read_whichever_way_it_is_cut),
                TEST(test_gather_begins_within_a_block_and_ends_at_the_end),
                TEST(test_positions_go_on_as_the_table_wraps),
                TEST(test_without_readers_the_scrollback_is_what_stays),
                TEST(test_without_scrollback_what_is_read_leaves_no_block),
                TEST(test_the_scrollback_cannot_bring_back_what_has_gone),
                TEST(test_several_cursors_and_the_one_that_lags_keeps_its_block_and_all_after_it),
                TEST(test_a_cursor_marks_the_block_it_stands_in_and_no_other),
                TEST(test_a_cursor_at_the_end_keeps_what_comes),
                TEST(test_a_block_s_mark_goes_with_the_block),
                TEST(test_nothing_is_kept_for_a_cursor_that_is_released),
                TEST(test_the_lag_is_what_is_kept_beyond_the_scrollback_for_a_cursor_that_is_well_behind),
                TEST(test_data_is_lost_when_the_bound_is_exceeded_and_only_then),
                TEST(test_space_is_what_can_be_appended_without_loss),
                TEST(test_an_append_larger_than_the_bound_leaves_its_end),
                TEST(test_a_lag_bound_that_is_too_small_is_raised),
                TEST(test_smaller_bounds_take_effect_with_the_next_append),
                TEST(test_a_table_that_a_lagging_cursor_made_large_shrinks),
                TEST(test_when_memory_is_short_the_ring_is_as_it_was),
                TEST(test_what_the_holder_needs_stays_though_cursors_lose_it),
                TEST(test_what_only_the_holder_needs_takes_no_space),
                TEST(test_random_operations_against_a_large_array),
        };

        return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
