/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Names from strangers. Whatever a VM calls itself, what people and logs get to see is valid UTF-8, by a
 * judge of the test's own (utf8.h), in which nothing moves a cursor, ends a line or turns the direction of
 * writing.
 */

#include "harness.h"

#include "basic/text.h"
#include "prng.h"
#include "utf8.h"

#define R "\xef\xbf\xbd" /* U+FFFD */

static void assert_sanitized(const uint8_t *data, size_t n, const char *want) {
        _cleanup_free_ uint8_t *copy = malloc(MAX(n, (size_t) 1));
        _cleanup_free_ char *got = NULL;

        assert_non_null(copy);
        memcpy(copy, data, n);
        got = text_sanitize(copy, n, 1000);
        assert_non_null(got);
        assert_string_equal(got, want);
}

static void assert_fit_for_people(const uint8_t *data, size_t n, size_t max) {
        _cleanup_free_ char *got = text_sanitize(data, n, max);

        assert_non_null(got);
        assert_true(utf8_is_valid(got));
        assert_true(utf8_is_harmless(got));
        assert_in_range(strlen(got), 0, 3 * MIN(n, max));
}

/* The judge, judged: else it could let everything pass. */
static void test_the_tests_own_judge_of_utf8(_unused_ void **state) {
        static const char *const valid[] = {
                "", "a\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", R,
                "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
        static const char *const invalid[] = {
                "\x80", "\xc1\xbf", "\xc2", "\xc2x", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe1\x80",
                "\xf0\x8f\xbf\xbf",
                "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"};
        static const char *const harmful[] = {
                "a\n", "\x1b[m", "\x7f", "\xc2\x85", "\xe2\x80\xae", "x\xe2\x81\xa9"};

        for (size_t i = 0; i < ELEMENTSOF(valid); i++)
                assert_true(utf8_is_valid(valid[i]));
        for (size_t i = 0; i < ELEMENTSOF(invalid); i++)
                assert_false(utf8_is_valid(invalid[i]));
        for (size_t i = 0; i < ELEMENTSOF(harmful); i++)
                assert_false(utf8_is_harmless(harmful[i]));
        assert_true(utf8_is_harmless("web01 \xc2\xa0\xc3\xa4\xe2\x80\x94\xe2\x80\xb0" R));
}

static void test_ordinary_names_are_left_as_they_are(_unused_ void **state) {
        assert_sanitized(BYTES("web01"), "web01");
        assert_sanitized(BYTES(""), "");
        assert_sanitized(BYTES("M\xc3\xbcller \xe2\x82\xac"), "M\xc3\xbcller \xe2\x82\xac");
        assert_sanitized(BYTES("\xf0\x9f\x98\x80!"), "\xf0\x9f\x98\x80!");
        assert_sanitized(BYTES("../../etc/passwd"), "../../etc/passwd");
}

static void test_control_characters_are_replaced(_unused_ void **state) {
        assert_sanitized(BYTES("a\nb\r\x00\x07\x08\tc\x7f"), "a" R "b" R R R R R "c" R);
        assert_sanitized(BYTES("\xc2\x80x\xc2\x85y\xc2\x9f"), R "x" R "y" R);
}

static void test_escape_sequences_lose_their_escape(_unused_ void **state) {
        assert_sanitized(BYTES("\x1b[2J\x1b]0;title\x07\xc2\x9b" "31m"), R "[2J" R "]0;title" R R "31m");
}

static void test_what_ends_lines_or_turns_writing_around_is_replaced(_unused_ void **state) {
        assert_sanitized(BYTES("a\xe2\x80\xa8" "b\xe2\x80\xa9"), "a" R "b" R);
        assert_sanitized(BYTES("\xe2\x80\xae" "exe.txt\xe2\x80\xac"), R "exe.txt" R);
        assert_sanitized(BYTES("\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xad\xe2\x81\xa6\xe2\x81\xa9"), R R R R R);
        assert_sanitized(BYTES("\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c"), R R R);
}

static void test_every_byte_that_is_no_utf8_is_replaced(_unused_ void **state) {
        assert_sanitized(BYTES("\x80x\xff\xfe"), R "x" R R);
        assert_sanitized(BYTES("\xc3"), R);
        assert_sanitized(BYTES("\xc3(\xe2\x82(\xf0\x9f\x98"), R "(" R R "(" R R R);
}

static void test_overlong_forms_are_no_utf8(_unused_ void **state) {
        assert_sanitized(BYTES("\xc0\x80"), R R);
        assert_sanitized(BYTES("\xc0\x8a\xc1\xbf"), R R R R);
        assert_sanitized(BYTES("\xe0\x80\x8a\xe0\x9f\xbf"), R R R R R R);
        assert_sanitized(BYTES("\xf0\x80\x80\x8a\xf0\x8f\xbf\xbf"), R R R R R R R R);
        assert_sanitized(BYTES("\xf8\x88\x80\x80\x80"), R R R R R);
}

static void test_surrogates_and_what_lies_beyond_unicode_are_no_utf8(_unused_ void **state) {
        assert_sanitized(BYTES("\xed\xa0\x80\xed\xbf\xbf"), R R R R R R);
        assert_sanitized(BYTES("\xf4\x90\x80\x80\xf5\x80\x80\x80"), R R R R R R R R);
}

/* Each code point that there is: replaced by exactly one U+FFFD, or left alone. */
static void test_every_code_point(_unused_ void **state) {
        for (uint32_t c = 0; c <= 0x10ffff; c++) {
                uint8_t s[4];
                size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
                bool harmful = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e ||
                               c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
                               c == 0xfeff || (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xffff) >= 0xfffe;

                if (c >= 0xd800 && c <= 0xdfff)
                        continue;

                for (size_t i = n - 1; i > 0; i--)
                        s[i] = (uint8_t) (0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
                s[0] = (uint8_t) (n == 1 ? c : (0xf00U >> n & 0xff) | c >> 6 * (n - 1));

                _cleanup_free_ char *got = text_sanitize(s, n, n);
                assert_non_null(got);
                if (harmful ? !streq(got, R) : strncmp(got, (const char *) s, n) != 0 || got[n] != 0)
                        fail_msg("U+%04X became %s", c, got);
        }
}

static void test_three_bytes_of_any_kind_become_fit_for_people(_unused_ void **state) {
        for (uint32_t v = 0; v < 0x1000000; v += 17) {
                uint8_t data[] = {(uint8_t) (v >> 16), (uint8_t) (v >> 8), (uint8_t) v};

                assert_fit_for_people(data, 3, 3);
        }
}

static void test_random_bytes_become_fit_for_people(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned i = 0; i < 50000; i++) {
                uint8_t data[100];
                size_t n = prng_below(&random, sizeof data);

                prng_fill(&random, data, n,
                          BYTES("\xe2\x80\xa8\xae\x1b\xf0\x9f\x98\x80\xed\xa0\xc2\x85\xf4\x8f"));
                assert_fit_for_people(data, n, prng_below(&random, sizeof data));
        }
}

static void test_no_more_than_max_bytes_are_looked_at(_unused_ void **state) {
        _cleanup_free_ char *three = text_sanitize("abcdef", 6, 3), *none = text_sanitize("abc", 3, 0),
                            *all = text_sanitize("abc", 3, SIZE_MAX);

        assert_string_equal(three, "abc");
        assert_string_equal(none, "");
        assert_string_equal(all, "abc");
}

/* A character that does not fit as a whole is left out, it does not turn into rubbish. */
static void test_truncation_never_cuts_a_character_in_two(_unused_ void **state) {
        static const char name[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
        static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11}; /* max → bytes that remain */

        for (size_t max = 0; max < ELEMENTSOF(whole); max++) {
                _cleanup_free_ char *got = text_sanitize(name, sizeof name - 1, max);
                _cleanup_free_ char *want = strndup(name, whole[max]);

                assert_string_equal(got, want);
                assert_int_equal(text_cut(name, max), whole[max]);
                assert_int_equal(text_fit(name, max), whole[max]);
        }
}

/* Half a character is taken off the end, never anything else: not what is whole, nor what is no UTF-8. */
static void test_only_what_is_cut_off_goes(_unused_ void **state) {
        static const struct {
                const uint8_t *text;
                size_t n, left;
        } cuts[] = {
                {BYTES("abc"), 3},
                {BYTES("a\xff"), 2},
                {BYTES("a\x80"), 2},
                {BYTES("\x80\x80\x80\x80\x80"), 5},
                {BYTES("\xc3\xa4\x80"), 3},
                {BYTES("\xe2\x82" "ab"), 4},
                {BYTES("ab\xf0\x9f\x98"), 2},
                {BYTES("\xf0"), 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(cuts); i++)
                assert_int_equal(text_cut(cuts[i].text, cuts[i].n), cuts[i].left);
}

static void test_a_text_that_fits_stays_as_it_is(_unused_ void **state) {
        assert_int_equal(text_fit("", 0), 0);
        assert_int_equal(text_fit("abc", 3), 3);
        assert_int_equal(text_fit("abc", 4000), 3);
        assert_int_equal(text_fit("ab\xe2\x82", 4), 4); /* nothing has been cut off */
        assert_int_equal(text_fit("ab\xe2\x82\xac", 4), 2);
}

static void test_a_sentence_is_left_without_its_end(_unused_ void **state) {
        assert_int_equal(text_sentence_length("It has failed.", 14), 13);
        assert_int_equal(text_sentence_length("It is bad. It is old. ", 22), 20);
        assert_int_equal(text_sentence_length("no end", 6), 6);
        assert_int_equal(text_sentence_length("1.5", 2), 1);
        assert_int_equal(text_sentence_length(" . ", 3), 0);
        assert_int_equal(text_sentence_length("", 0), 0);
}

static void test_a_fingerprint_is_pairs_of_digits_with_colons(_unused_ void **state) {
        char text[3 * 4];

        assert_string_equal(text_format_fingerprint(BYTES("\x00\x9a\xff\x10"), text), "00:9A:FF:10");
        assert_string_equal(text_format_fingerprint(BYTES("\xab"), text), "AB");
}

static void test_a_part_of_a_url_has_no_characters_of_another_meaning(_unused_ void **state) {
        _cleanup_free_ char *text = text_escape_url("az-AZ_09.~ /?#%&+\xc3\xbc\xff");

        assert_string_equal(text, "az-AZ_09.~%20%2F%3F%23%25%26%2B%C3%BC%FF");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_tests_own_judge_of_utf8),
                cmocka_unit_test(test_ordinary_names_are_left_as_they_are),
                cmocka_unit_test(test_control_characters_are_replaced),
                cmocka_unit_test(test_escape_sequences_lose_their_escape),
                cmocka_unit_test(test_what_ends_lines_or_turns_writing_around_is_replaced),
                cmocka_unit_test(test_every_byte_that_is_no_utf8_is_replaced),
                cmocka_unit_test(test_overlong_forms_are_no_utf8),
                cmocka_unit_test(test_surrogates_and_what_lies_beyond_unicode_are_no_utf8),
                cmocka_unit_test(test_every_code_point),
                cmocka_unit_test(test_three_bytes_of_any_kind_become_fit_for_people),
                cmocka_unit_test(test_random_bytes_become_fit_for_people),
                cmocka_unit_test(test_no_more_than_max_bytes_are_looked_at),
                cmocka_unit_test(test_truncation_never_cuts_a_character_in_two),
                cmocka_unit_test(test_only_what_is_cut_off_goes),
                cmocka_unit_test(test_a_text_that_fits_stays_as_it_is),
                cmocka_unit_test(test_a_sentence_is_left_without_its_end),
                cmocka_unit_test(test_a_fingerprint_is_pairs_of_digits_with_colons),
                cmocka_unit_test(test_a_part_of_a_url_has_no_characters_of_another_meaning),
        };

        return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
