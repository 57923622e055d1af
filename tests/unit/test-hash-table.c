/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Tables by UUID, when whoever can reach port 13370 chooses the UUIDs. The same ones are put into a table that has
 * uthash's own function, so that it is seen that they would do harm. And tables for which memory is short.
 */

#include <stdio.h>
#include <sys/wait.h>

#include "harness.h"

#include "basic/hash-table.h"

/* UUIDs of which an attacker tries a thousand each, for the lowest ten bits of uthash's function to be none. It takes
 * this test a second; a real attacker has more time. */
#define N_UUIDS 4096U
#define COMMON_BITS 10U
#define UUID_SIZE (sizeof("00112233-4455-6677-8899-aabbccddeeff") - 1)

/* uthash lets no bucket have more than ten or so as long as it can help it. */
#define CHAIN_MAX 32U

/* The compiler makes a calloc() of uthash's malloc() and bzero(). */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool memory_is_short;
static unsigned n_refused;

void *__wrap_malloc(size_t n) {
        n_refused += memory_is_short;
        return memory_is_short ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
        n_refused += memory_is_short;
        return memory_is_short ? NULL : __real_calloc(n, size);
}

typedef struct Entry {
        UT_hash_handle by_theirs, by_ours;
        char uuid[UUID_SIZE + 1];
} Entry;

static unsigned their_function(const char *uuid) {
        unsigned value;

        HASH_JEN(uuid, UUID_SIZE, value);
        return value;
}

static Entry *hostile_uuids(void) {
        Entry *entries = calloc(N_UUIDS, sizeof(Entry));
        unsigned long long tried = 0;

        assert_non_null(entries);
        for (unsigned n = 0; n < N_UUIDS; tried++) {
                snprintf(entries[n].uuid, sizeof entries[n].uuid, "50123456-789a-bcde-f012-%012llx", tried);
                if ((their_function(entries[n].uuid) & ((1U << COMMON_BITS) - 1)) == 0)
                        n++;
        }

        return entries;
}

static unsigned longest_chain(const UT_hash_table *table) {
        unsigned longest = 0;

        for (unsigned i = 0; i < table->num_buckets; i++)
                longest = MAX(longest, table->buckets[i].count);

        return longest;
}

static void test_uuids_that_are_chosen_to_collide_do_not(_unused_ void **state) {
        _cleanup_free_ Entry *entries = hostile_uuids();
        Entry *theirs = NULL, *ours = NULL, *found;

        for (unsigned i = 0; i < N_UUIDS; i++) {
                Entry *e = entries + i;

                HASH_ADD_KEYPTR_BYHASHVALUE(by_theirs, theirs, e->uuid, UUID_SIZE, their_function(e->uuid), e);
                assert_int_equal(HASH_TRY_ADD(by_ours, ours, e->uuid, UUID_SIZE, e), 0);
        }

        /* All in one, in a table that has ceased to grow */
        assert_int_equal(longest_chain(theirs->by_theirs.tbl), N_UUIDS);
        assert_in_range(theirs->by_theirs.tbl->num_buckets, 1, 1U << COMMON_BITS);

        assert_in_range(longest_chain(ours->by_ours.tbl), 1, CHAIN_MAX);
        for (unsigned i = 0; i < N_UUIDS; i++) {
                HASH_FIND(by_ours, ours, entries[i].uuid, UUID_SIZE, found);
                assert_ptr_equal(found, entries + i);
        }

        HASH_CLEAR(by_theirs, theirs);
        HASH_CLEAR(by_ours, ours);
}

static bool is_in(Entry *table, const Entry *e) {
        Entry *found;

        HASH_FIND(by_ours, table, e->uuid, UUID_SIZE, found);
        return found == e;
}

/* uthash allocates for the first element of a table, and whenever the table has to grow. By default it ends the process
 * when it gets nothing. */
static void test_without_memory_an_element_is_refused_and_the_others_stay(_unused_ void **state) {
        enum { N = 2000 };
        _cleanup_free_ Entry *entries = calloc(N, sizeof(Entry));
        Entry *table = NULL;

        assert_non_null(entries);
        n_refused = 0;
        for (unsigned i = 0; i < N; i++) {
                Entry *e = entries + i;
                unsigned before = n_refused;

                snprintf(e->uuid, sizeof e->uuid, "50123456-789a-bcde-f012-%012x", i);
                memory_is_short = true;
                int r = HASH_TRY_ADD(by_ours, table, e->uuid, UUID_SIZE, e);
                memory_is_short = false;

                assert_int_equal(r, n_refused > before ? -ENOMEM : 0);
                assert_int_equal(HASH_CNT(by_ours, table), i + (r >= 0));
                assert_int_equal(is_in(table, e), r >= 0);
                if (i > 0)
                        assert_true(is_in(table, entries + i / 2));
                if (r >= 0)
                        continue;

                HASH_REMOVE(by_ours, table, e); /* what is in no table is not taken out of one */
                assert_int_equal(HASH_CNT(by_ours, table), i);
                assert_int_equal(HASH_TRY_ADD(by_ours, table, e->uuid, UUID_SIZE, e), 0);
        }
        assert_in_range(n_refused, 2, N);

        for (unsigned i = 0; i < N; i++) {
                assert_true(is_in(table, entries + i));
                HASH_REMOVE(by_ours, table, entries + i);
                HASH_REMOVE(by_ours, table, entries + i);
        }
        assert_null(table);
}

/* What has been learned of one does not help with the next. To come first: a child inherits the key that its parent has
 * made, and here none has been made. */
static void test_each_process_has_a_key_of_its_own(_unused_ void **state) {
        uint64_t values[2];
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        for (unsigned i = 0; i < ELEMENTSOF(values); i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        uint64_t value = hash_table_function("web01", 5);

                        _exit(value == hash_table_function("web01", 5) && /* and keeps it */
                                              write(fds[1], &value, sizeof value) == sizeof value
                                      ? EXIT_SUCCESS
                                      : EXIT_FAILURE);
                }

                int status;
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
                assert_int_equal(read(fds[0], values + i, sizeof values[i]), sizeof values[i]);
        }

        assert_true(values[0] != values[1]);
        close(fds[0]);
        close(fds[1]);
}

/* From its authors' vectors: the key is 00 01 … 0f, the text as many bytes of 00 01 02 … as it is long. */
static void test_the_function_is_siphash(_unused_ void **state) {
        static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
        static const struct {
                size_t n;
                uint64_t want;
        } vectors[] = {
                {0, UINT64_C(0x726fdb47dd0e0e31)}, {1, UINT64_C(0x74f839c593dc67fd)},
                {2, UINT64_C(0x0d6c8009d9a94f5a)}, {3, UINT64_C(0x85676696d7fb7e2d)},
                {7, UINT64_C(0xab0200f58b01d137)}, {8, UINT64_C(0x93f5f5799a932462)},
                {15, UINT64_C(0xa129ca6149be45e5)},
        };

        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                /* Of exactly that size, so that a sanitizer sees what is read behind it. */
                _cleanup_free_ uint8_t *text = malloc(MAX(vectors[i].n, (size_t) 1));

                assert_non_null(text);
                for (size_t k = 0; k < vectors[i].n; k++)
                        text[k] = (uint8_t) k;
                assert_true(siphash24(text, vectors[i].n, key) == vectors[i].want);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_process_has_a_key_of_its_own),
                cmocka_unit_test(test_uuids_that_are_chosen_to_collide_do_not),
                cmocka_unit_test(test_the_function_is_siphash),
                cmocka_unit_test(test_without_memory_an_element_is_refused_and_the_others_stay),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
