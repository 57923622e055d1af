/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "harness.h"

#include "console/access.h"

/* vSPC.py's table, written out, and read_only: what is granted to each request in view of who is there already. */
static const struct {
        AccessMode mode;
        const char *name;
        Access granted[_ACCESS_MAX]; /* by the most that anybody holds */
} table[] = {
        {ACCESS_MODE_READ_ONLY, "read_only",
         {ACCESS_READ_ONLY, ACCESS_READ_ONLY, ACCESS_READ_ONLY, ACCESS_READ_ONLY, ACCESS_NONE}},
        {ACCESS_MODE_EXCLUSIVE, "exclusive",
         {ACCESS_EXCLUSIVE, ACCESS_NONE, ACCESS_NONE, ACCESS_NONE, ACCESS_NONE}},
        {ACCESS_MODE_WRITE, "write",
         {ACCESS_WRITE, ACCESS_WRITE, ACCESS_NONE, ACCESS_NONE, ACCESS_NONE}},
        {ACCESS_MODE_FREE_FOR_ALL, "free_for_all",
         {ACCESS_FREE_FOR_ALL, ACCESS_FREE_FOR_ALL, ACCESS_FREE_FOR_ALL, ACCESS_NONE, ACCESS_NONE}},
        {ACCESS_MODE_FREE_FOR_ALL_FALLBACK, "free_for_all_fallback",
         {ACCESS_FREE_FOR_ALL, ACCESS_FREE_FOR_ALL, ACCESS_FREE_FOR_ALL, ACCESS_READ_ONLY, ACCESS_NONE}},
};

static const Access held[_ACCESS_MAX] = {ACCESS_NONE, ACCESS_READ_ONLY, ACCESS_FREE_FOR_ALL, ACCESS_WRITE,
                                         ACCESS_EXCLUSIVE};

static void test_the_whole_table(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (size_t k = 0; k < ELEMENTSOF(held); k++) {
                        AccessHolders holders = {};

                        holders.n[held[k]] = 1;
                        assert_int_equal(access_decide(table[i].mode, &holders), table[i].granted[k]);
                }
}

static void test_the_most_that_anybody_holds_decides(_unused_ void **state) {
        const AccessHolders writer_and_readers = {.n = {[ACCESS_READ_ONLY] = 3, [ACCESS_WRITE] = 1}};
        const AccessHolders readers = {.n = {[ACCESS_READ_ONLY] = 3}};

        assert_int_equal(access_decide(ACCESS_MODE_WRITE, &writer_and_readers), ACCESS_NONE);
        assert_int_equal(access_decide(ACCESS_MODE_WRITE, &readers), ACCESS_WRITE);
        assert_int_equal(access_decide(ACCESS_MODE_FREE_FOR_ALL_FALLBACK, &writer_and_readers), ACCESS_READ_ONLY);
}

static void test_who_alone_would_be_refused_because_of_another_finds_that_one_in_the_way(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (size_t k = 1; k < ELEMENTSOF(held); k++)
                        assert_int_equal(access_obstructs(held[k], table[i].mode),
                                         table[i].granted[k] == ACCESS_NONE);
}

static void test_each_mode_is_known_by_its_name_with_either_kind_of_dash(_unused_ void **state) {
        AccessMode mode;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(access_mode_from_string(table[i].name, &mode), 0);
                assert_int_equal(mode, table[i].mode);
                assert_string_equal(access_mode_to_string(mode), table[i].name);
        }

        assert_int_equal(access_mode_from_string("free-for-all-fallback", &mode), 0);
        assert_int_equal(mode, ACCESS_MODE_FREE_FOR_ALL_FALLBACK);
        assert_int_equal(access_mode_from_string("free-for_all", &mode), 0);
        assert_int_equal(mode, ACCESS_MODE_FREE_FOR_ALL);
}

/* So that nobody is told of a mode that there is not, or not of one that there is */
static void test_the_text_for_people_names_all_modes(_unused_ void **state) {
        char text[] = ACCESS_MODES_TEXT;
        AccessMode mode;
        size_t n = 0;

        for (char *next = text, *name; (name = strsep(&next, ", "));)
                if (*name && strcmp(name, "or") != 0) {
                        assert_int_equal(access_mode_from_string(name, &mode), 0);
                        n++;
                }
        assert_int_equal(n, ELEMENTSOF(table));
}

static void test_what_is_no_mode_is_refused(_unused_ void **state) {
        static const char *const bad[] = {"", "none", "Write", "writ", "write ", "write_", "free_for_all_",
                                          "-", "free_for_all_fallback_fallback"};
        AccessMode mode;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(access_mode_from_string(bad[i], &mode), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_whole_table),
                cmocka_unit_test(test_the_most_that_anybody_holds_decides),
                cmocka_unit_test(test_who_alone_would_be_refused_because_of_another_finds_that_one_in_the_way),
                cmocka_unit_test(test_each_mode_is_known_by_its_name_with_either_kind_of_dash),
                cmocka_unit_test(test_the_text_for_people_names_all_modes),
                cmocka_unit_test(test_what_is_no_mode_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
