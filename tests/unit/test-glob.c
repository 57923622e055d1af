/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fnmatch.h>

#include "harness.h"

#include "basic/glob.h"
#include "prng.h"

static void test_a_star_stands_for_any_text_and_none(_unused_ void **state) {
        assert_true(glob_match("db-*", "db-"));
        assert_true(glob_match("db-*", "db-1"));
        assert_true(glob_match("*-db", "prod-db"));
        assert_true(glob_match("*", ""));
        assert_true(glob_match("a*b*c", "a-b-b-c"));
        assert_false(glob_match("db-*", "adb-1"));
        assert_false(glob_match("db-*", "DB-1"));
        assert_false(glob_match("*-db", "prod-db2"));
}

static void test_a_question_mark_stands_for_one_character_however_many_bytes_it_has(_unused_ void **state) {
        assert_true(glob_match("web?", "web1"));
        assert_true(glob_match("web?", "webü"));
        assert_true(glob_match("w?b", "w€b"));
        assert_true(glob_match("*?b", "€b"));
        assert_false(glob_match("web?", "web"));
        assert_false(glob_match("web?", "web12"));
        assert_false(glob_match("web??", "webü"));
}

static void test_what_is_no_utf_8_is_taken_byte_by_byte(_unused_ void **state) {
        assert_true(glob_match("a?b", "a\xff" "b"));
        assert_true(glob_match("a??", "a\xe2\x82"));
}

static void test_brackets_and_backslashes_stand_for_themselves(_unused_ void **state) {
        assert_true(glob_match("[a]\\*", "[a]\\x"));
        assert_false(glob_match("[a]", "a"));
}

/* fnmatch(3) agrees about all short texts of few letters. */
static void test_fnmatch_agrees(_unused_ void **state) {
        static const char letters[] = "ab*?";
        Prng prng = prng_init();
        unsigned n_matches = 0;

        for (unsigned i = 0; i < 200000; i++) {
                char pattern[8] = "", text[10] = "";
                size_t n = prng_below(&prng, sizeof pattern), m = prng_below(&prng, sizeof text);

                for (size_t k = 0; k < n; k++)
                        pattern[k] = letters[prng_below(&prng, 4)];
                for (size_t k = 0; k < m; k++)
                        text[k] = letters[prng_below(&prng, 2)];

                bool want = fnmatch(pattern, text, 0) == 0;
                if (glob_match(pattern, text) != want)
                        fail_msg("\"%s\" and \"%s\": fnmatch() says %d", pattern, text, want);
                n_matches += want;
        }
        assert_in_range(n_matches, 1000, 199000);
}

/* One that tried all ways to divide the text among the stars would not come to an end. */
static void test_many_stars_take_no_longer_than_pattern_times_text(_unused_ void **state) {
        char pattern[256], text[256];

        for (size_t i = 0; i + 1 < sizeof pattern; i += 2)
                memcpy(pattern + i, "a*", 2);
        memcpy(pattern + sizeof pattern - 2, "b", 2);
        memset(text, 'a', sizeof text - 1);
        text[sizeof text - 1] = 0;
        assert_false(glob_match(pattern, text));
}

static void test_a_pattern_has_a_star_or_a_question_mark(_unused_ void **state) {
        assert_true(glob_is_pattern("web*"));
        assert_true(glob_is_pattern("?"));
        assert_false(glob_is_pattern("web[1]"));
        assert_false(glob_is_pattern(""));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_star_stands_for_any_text_and_none),
                cmocka_unit_test(test_a_question_mark_stands_for_one_character_however_many_bytes_it_has),
                cmocka_unit_test(test_what_is_no_utf_8_is_taken_byte_by_byte),
                cmocka_unit_test(test_brackets_and_backslashes_stand_for_themselves),
                cmocka_unit_test(test_fnmatch_agrees),
                cmocka_unit_test(test_many_stars_take_no_longer_than_pattern_times_text),
                cmocka_unit_test(test_a_pattern_has_a_star_or_a_question_mark),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
