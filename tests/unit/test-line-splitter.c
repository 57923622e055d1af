/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * From a console's bytes to lines for people. Every row is put through in one piece, cut in two at each place,
 * and byte by byte: the lines are the same. What a screen would show is what a row says.
 */

#include "harness.h"

#include <stdio.h>
#include <time.h>

#include "basic/text.h"
#include "logger/line-splitter.h"
#include "prng.h"
#include "utf8.h"

#define R "\xef\xbf\xbd" /* U+FFFD */

/* The lines that have come, "PRIORITY:TEXT|" each. */
typedef struct Lines {
        char *text;
        size_t size;
        size_t n;
        bool count_only;
} Lines;

static void lines_done(Lines *l) {
        free(l->text);
}

#define _cleanup_lines_ _cleanup_(lines_done)

static void on_line(const char *text, size_t n, int priority, void *userdata) {
        Lines *l = userdata;

        assert_in_range(n, 1, LINE_MAX_SIZE);
        assert_in_range(priority, 0, 7);
        assert_true(text[n - 1] != ' ');
        assert_null(memchr(text, 0, n));
        l->n++;
        if (l->count_only)
                return;

        l->text = realloc(l->text, l->size + n + 4);
        assert_non_null(l->text);
        l->text[l->size] = (char) ('0' + priority);
        l->text[l->size + 1] = ':';
        memcpy(l->text + l->size + 2, text, n);
        l->text[l->size + 2 + n] = '|';
        l->size += n + 3;
        l->text[l->size] = 0;
}

static const char *shown(const Lines *l) {
        return l->text ?: "";
}

/* @data in pieces that end at @cut, or of @piece bytes; what is left at the end is a line too. */
static void split(const uint8_t *data, size_t n, size_t cut, size_t piece, Lines *ret) {
        LineSplitter s = {};

        for (size_t at = 0, k; at < n; at += k) {
                k = at < cut ? MIN(cut - at, piece) : MIN(n - at, piece);

                /* Of its exact size, for the sanitizers. */
                _cleanup_free_ uint8_t *copy = malloc(k);
                assert_non_null(copy);
                memcpy(copy, data + at, k);
                line_splitter_feed(&s, copy, k, on_line, ret);
        }

        line_splitter_flush(&s, on_line, ret);
        assert_true(line_splitter_is_empty(&s));
        line_splitter_clear(&s);
}

static void assert_lines(const uint8_t *data, size_t n, const char *want) {
        for (size_t cut = 0; cut <= n; cut++) {
                _cleanup_lines_ Lines got = {};

                split(data, n, cut, n, &got);
                if (!streq(shown(&got), want))
                        fail_msg("cut at %zu of %zu: got \"%s\", want \"%s\"", cut, n, shown(&got), want);
        }

        _cleanup_lines_ Lines got = {};
        split(data, n, 0, 1, &got);
        assert_string_equal(shown(&got), want);
}

typedef struct Row {
        const uint8_t *data;
        size_t n;
        const char *want;
} Row;

static void assert_rows(const Row *rows, size_t n) {
        for (size_t i = 0; i < n; i++)
                assert_lines(rows[i].data, rows[i].n, rows[i].want);
}

#define ASSERT_ROWS(...)                                                                                     \
        do {                                                                                                 \
                static const Row rows[] = {__VA_ARGS__};                                                     \
                assert_rows(rows, ELEMENTSOF(rows));                                                         \
        } while (false)

static void test_a_line_feed_ends_a_line(_unused_ void **state) {
        ASSERT_ROWS({BYTES(""), ""},
                    {BYTES("one\ntwo\n"), "6:one|6:two|"},
                    {BYTES("one\r\ntwo\r\n"), "6:one|6:two|"},
                    {BYTES("one\r\r\ntwo\n\rthree"), "6:one|6:two|6:three|"},
                    {BYTES("one\vtwo\fthree"), "6:one|6:two|6:three|"},
                    {BYTES("not ended"), "6:not ended|"});
}

static void test_what_shows_nothing_is_no_line(_unused_ void **state) {
        ASSERT_ROWS({BYTES("\n\n\r\n   \n\t\n\x1b[0m\n\a\n"), ""}, {BYTES("a\n\n \nb"), "6:a|6:b|"},
                    {BYTES("<3>\n<3>  \n"), ""});
}

static void test_blanks_at_the_end_do_not_show(_unused_ void **state) {
        ASSERT_ROWS({BYTES("login: \n  indented  \n"), "6:login:|6:  indented|"});
}

static void test_a_carriage_return_goes_back_and_what_follows_overwrites(_unused_ void **state) {
        ASSERT_ROWS({BYTES(" 10%\r 20%\r100%\r\n"), "6:100%|"},
                    {BYTES("abcdef\rxy\n"), "6:xycdef|"},
                    {BYTES("Loading...\rDone      \n"), "6:Done|"},
                    {BYTES("\rabc"), "6:abc|"},
                    {BYTES("abc\r"), "6:abc|"},
                    {BYTES("\xc3\xa4\xc3\xb6\xe2\x82\xac\ra\xf0\x9f\x98\x80"),
                     "6:a\xf0\x9f\x98\x80\xe2\x82\xac|"});
}

static void test_a_backspace_goes_back_by_one(_unused_ void **state) {
        ASSERT_ROWS({BYTES("lss\b \b -l\n"), "6:ls -l|"},
                    {BYTES("abc\b\bX\n"), "6:aXc|"},
                    {BYTES("a\b\b\b\bb\n"), "6:b|"},
                    {BYTES("\xc3\xa4\b \b\n"), ""},
                    {BYTES("|\b/\b-\b\\\bok\n"), "6:ok|"});
}

static void test_a_tab_goes_to_the_next_stop(_unused_ void **state) {
        ASSERT_ROWS({BYTES("a\tb\n"), "6:a       b|"},
                    {BYTES("12345678\tx\n"), "6:12345678        x|"},
                    {BYTES("abcdefghij\r\tX\n"), "6:abcdefghXj|"},
                    {BYTES("a\t\n"), "6:a|"});
}

static void test_control_characters_leave_no_trace(_unused_ void **state) {
        ASSERT_ROWS({BYTES("a\0b\ac\x0e" "d\x0f" "e\x7f" "f\x05g\n"), "6:abcdefg|"},
                    {BYTES("a\xc2\x80" "b\xc2\x8a" "c\n"), "6:abc|"});
}

static void test_colours_and_other_sequences_leave_no_trace(_unused_ void **state) {
        ASSERT_ROWS({BYTES("[\x1b[0;1;32m  OK  \x1b[0m] Started \x1b[0;1;39mssh\x1b[m.\n"),
                     "6:[  OK  ] Started ssh.|"},
                    {BYTES("a\x1b[?25l\x1b[?2004h\x1b[>c\x1b[!p\x1b[ q\x1b[6nb\n"), "6:ab|"},
                    {BYTES("\x1b(B\x1b)0\x1b#8\x1b%G\x1b=\x1b>\x1b" "7\x1b" "8x\x1b[4:3my\n"), "6:xy|"},
                    {BYTES("a\xc2\x9b" "31mb\n"), "6:ab|"});
}

static void test_strings_to_the_terminal_leave_no_trace(_unused_ void **state) {
        ASSERT_ROWS({BYTES("a\x1b]0;root@web01: ~\ab\n"), "6:ab|"},
                    {BYTES("a\x1b]0;title\x1b\\b\n"), "6:ab|"},
                    {BYTES("a\x1b]0;t\xc3\xa4tle\xc2\x9c" "b\n"), "6:ab|"},
                    {BYTES("a\xc2\x9d" "0;title\ab\n"), "6:ab|"},
                    {BYTES("a\x1bP1$r0m\x1b\\b\x1b_app\x1b\\c\x1b^pm\x1b\\d\x1bXsos\x1b\\e\n"), "6:abcde|"},
                    {BYTES("a\x1bkscreen\x1b\\b\n"), "6:ab|"},
                    {BYTES("a\x1b]P7ff00ffb\x1b]Rc\n"), "6:abc|"},
                    {BYTES("a\x1b]8;;http://x\r\x1b\\link\x1b]8;;\x1b\\\n"), "6:alink|"});
}

static void test_a_sequence_may_be_given_up(_unused_ void **state) {
        ASSERT_ROWS({BYTES("a\x1b[31\x18" "b\x1b]0;x\x1a" "c\n"), "6:abc|"},
                    {BYTES("a\x1b\x1b[1mb\x1b[3\x1b[1mc\n"), "6:abc|"},
                    {BYTES("ab\x1b[3\r1mx\n"), "6:xb|"},
                    {BYTES("a\x1b\xc3\xa4z\x1b[3\xc3\xa4\n"), "6:a\xc3\xa4z\xc3\xa4|"});
}

/* A title that never ends would swallow a kernel's last words. */
static void test_a_line_feed_ends_a_string_that_nothing_else_does(_unused_ void **state) {
        ASSERT_ROWS({BYTES("a\x1b]0;title\nKernel panic\n"), "6:a|6:Kernel panic|"},
                    {BYTES("a\x1bPdata\r\nb"), "6:a|6:b|"});
}

static void test_a_sequence_that_is_too_long_is_none(_unused_ void **state) {
        static const struct {
                const char *begin;
                size_t max;
        } sequences[] = {
                {"\x1b[", LINE_SEQUENCE_MAX},
                {"\x1b(", LINE_SEQUENCE_MAX},
                {"\x1b]0", LINE_STRING_MAX},
                {"\x1bP", LINE_STRING_MAX},
        };

        for (size_t i = 0; i < ELEMENTSOF(sequences); i++) {
                _cleanup_lines_ Lines got = {};
                char text[2 * LINE_STRING_MAX];
                int begin = snprintf(text, sizeof text, "%s", sequences[i].begin);

                memset(text + begin, i == 1 ? ' ' : ';', sequences[i].max);
                size_t n = (size_t) begin + sequences[i].max;
                n += (size_t) sprintf(text + n, "panic\n");
                split((const uint8_t *) text, n, 0, n, &got);
                assert_int_equal(got.n, 1);
                assert_non_null(strstr(shown(&got), "panic|"));
                assert_in_range(got.size, 8, 16);
        }
}

static void test_the_cursor_moves_within_a_line(_unused_ void **state) {
        ASSERT_ROWS({BYTES("abc\x1b[2DX\n"), "6:aXc|"},
                    {BYTES("abc\x1b[9999D\x1b[CX\n"), "6:aXc|"},
                    {BYTES("a\x1b[3Cb\n"), "6:a   b|"},
                    {BYTES("a\x1b[0Cb\x1b[Cc\n"), "6:a b c|"},
                    {BYTES("abcdef\x1b[3GX\x1b[GY\n"), "6:YbXdef|"},
                    {BYTES("a\x1b[?3Cb\n"), "6:ab|"});
}

static void test_the_cursor_does_not_make_long_lines_of_a_few_bytes(_unused_ void **state) {
        _cleanup_lines_ Lines got = {};

        split(BYTES("\x1b[9999Cx\x1b[9999Cy\x1b[9999Gz\n"), 0, 64, &got);
        assert_in_range(got.size, 256, 270);
}

static void test_what_is_erased_does_not_show(_unused_ void **state) {
        ASSERT_ROWS({BYTES("long text\rshort\x1b[K\n"), "6:short|"},
                    {BYTES("Loading\x1b[2K\rDone\n"), "6:Done|"},
                    {BYTES("abc\x1b[2KX\n"), "6:   X|"},
                    {BYTES("abcdef\x1b[3D\x1b[0J\n"), "6:abc|"},
                    {BYTES("[***   ] A job\r\x1b[K[ OK ]\n"), "6:[ OK ]|"});
}

static void test_what_is_elsewhere_on_a_screen_is_another_line(_unused_ void **state) {
        ASSERT_ROWS({BYTES("\x1b[2J\x1b[1;1HGNU GRUB\x1b[5;10HDebian\x1b[6;10HMemory test"),
                     "6:GNU GRUB|6:Debian|6:Memory test|"},
                    {BYTES("a\x1b[Ab\x1b[2Bc\x1b[2Jd\x1b" "ce\x1bMf\x1b" "Eg\xc2\x85h"),
                     "6:a|6:b|6:c|6:d|6:e|6:f|6:g|6:h|"});
}

static void test_a_kernels_prefix_is_the_priority(_unused_ void **state) {
        ASSERT_ROWS({BYTES("<3>EXT4-fs error\n<0>panic\n<7>debug\n"), "3:EXT4-fs error|1:panic|7:debug|"},
                    {BYTES("<8>x\n<33>x\n<a>x\n<3x\n x<3>\n"), "6:<8>x|6:<33>x|6:<a>x|6:<3x|6: x<3>|"},
                    {BYTES("<\n<4\n<4>\n"), "6:<|6:<4|"});
}

static void test_what_is_no_utf8_is_replaced(_unused_ void **state) {
        ASSERT_ROWS({BYTES("M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80\n"),
                     "6:M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80|"},
                    {BYTES("\x80x\xff\xfe\n"), "6:" R "x" R R "|"},
                    {BYTES("\xc3(\xe2\x82(\xf0\x9f\x98(\n"), "6:" R "(" R R "(" R R R "(|"},
                    {BYTES("\xc0\x80\xe0\x80\x8a\xed\xa0\x80\xf4\x90\x80\x80\n"),
                     "6:" R R R R R R R R R R R R "|"},
                    {BYTES("\xe2\x82\ny\n"), "6:" R R "|6:y|"},
                    {BYTES("a\xe2\x80\xae" "b\xe2\x80\xa8" "c\n"), "6:a" R "b" R "c|"});
}

/* What is not complete when a line is flushed belongs to the next one. */
static void test_a_character_may_be_interrupted_by_silence(_unused_ void **state) {
        _cleanup_lines_ Lines got = {};
        LineSplitter s = {};

        line_splitter_feed(&s, BYTES("a\xe2\x82"), on_line, &got);
        line_splitter_flush(&s, on_line, &got);
        line_splitter_flush(&s, on_line, &got);
        line_splitter_feed(&s, BYTES("\xac\n"), on_line, &got);
        assert_string_equal(shown(&got), "6:a|6:\xe2\x82\xac|");
        line_splitter_clear(&s);
}

static void test_what_follows_a_flush_is_another_line(_unused_ void **state) {
        _cleanup_lines_ Lines got = {};
        LineSplitter s = {};

        line_splitter_feed(&s, BYTES("login: "), on_line, &got);
        assert_false(line_splitter_is_empty(&s));
        line_splitter_flush(&s, on_line, &got);
        assert_true(line_splitter_is_empty(&s));
        line_splitter_feed(&s, BYTES("root\r\n"), on_line, &got);
        assert_string_equal(shown(&got), "6:login:|6:root|");
        line_splitter_clear(&s);
}

static void test_a_line_that_is_too_long_comes_in_pieces(_unused_ void **state) {
        static const struct {
                const char *character;
                size_t n_first; /* characters in the first piece */
        } kinds[] = {
                {"x", LINE_MAX_SIZE},
                {"\xc3\xa4", 4096},
                {"\xe2\x82\xac", 2730},
                {"\xf0\x9f\x98\x80", 2048},
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                size_t size = strlen(kinds[i].character), n = 0;
                _cleanup_lines_ Lines got = {};
                char text[3 * LINE_MAX_SIZE];

                for (size_t k = 0; k < kinds[i].n_first + 10; k++, n += size)
                        memcpy(text + n, kinds[i].character, size);
                for (size_t piece = 1; piece < n; piece = piece * 7 + 1) {
                        lines_done(&got);
                        got = (Lines){};
                        split((const uint8_t *) text, n, 0, piece, &got);
                        assert_int_equal(got.n, 2);
                        assert_int_equal(strchr(shown(&got), '|') - shown(&got),
                                         2 + kinds[i].n_first * size);
                        assert_int_equal(got.size, n + 6);
                }
        }
}

static void test_overwriting_may_make_a_line_too_long(_unused_ void **state) {
        _cleanup_lines_ Lines got = {};
        LineSplitter s = {};

        for (size_t i = 0; i < LINE_MAX_SIZE; i++)
                line_splitter_feed(&s, BYTES("x"), on_line, &got);
        assert_int_equal(got.n, 0);
        line_splitter_feed(&s, BYTES("\r\xf0\x9f\x98\x80\n"), on_line, &got);
        assert_int_equal(got.n, 2);
        assert_int_equal(got.size, LINE_MAX_SIZE + 4 + 6);
        line_splitter_clear(&s);
}

/* Text without anything for a terminal is what text_sanitize() makes of it: another way to the same. */
static void test_text_is_as_names_are(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned i = 0; i < 20000; i++) {
                _cleanup_lines_ Lines got = {};
                uint8_t data[80];
                size_t n = 1 + prng_below(&random, sizeof data - 1);

                prng_fill(&random, data, n, BYTES("\xe2\x80\xa8\xae\xf0\x9f\x98\xa0\xed\xa0\xc3\xa5\xf4\x8f"));
                for (size_t k = 0; k < n; k++)
                        if (data[k] < 0x20 || data[k] == 0x7f || data[k] == 0xc2 || data[k] == '<')
                                data[k] = 'x';
                data[n - 1] = 'x'; /* neither a blank nor half a character */

                _cleanup_free_ char *want = text_sanitize(data, n, n);
                split(data, n, prng_below(&random, n), n, &got);
                assert_int_equal(got.n, 1);
                assert_int_equal(got.size, strlen(want) + 3);
                assert_memory_equal(shown(&got) + 2, want, strlen(want));
        }
}

static void test_whatever_comes_lines_are_fit_for_people_and_cuts_make_no_difference(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned i = 0; i < 20000; i++) {
                _cleanup_lines_ Lines whole = {}, cut = {};
                uint8_t data[300];
                size_t n = 1 + prng_below(&random, sizeof data - 1);

                prng_fill(&random, data, n,
                          BYTES("\x1b\x1b[[]0;9CDGHJKPm?\r\n\b\t\\\a<3>\xc2\x9b\x9d\xe2\x80\xae"));
                split(data, n, 0, n, &whole);
                split(data, n, prng_below(&random, n), 1 + prng_below(&random, 20), &cut);
                assert_string_equal(shown(&whole), shown(&cut));
                assert_true(utf8_is_valid(shown(&whole)));
                assert_true(utf8_is_harmless(shown(&whole)));
        }
}

static double seconds_for(const uint8_t *data, size_t n, size_t repeat) {
        Lines got = {.count_only = true};
        LineSplitter s = {};
        clock_t begun = clock();

        for (size_t i = 0; i < repeat; i++)
                line_splitter_feed(&s, data, n, on_line, &got);
        line_splitter_clear(&s);
        return (double) (clock() - begun) / CLOCKS_PER_SEC;
}

/* Against the same number of bytes that are most work for what they are: quadratic would be thousands of times
 * as much. */
static void test_hostile_output_is_no_more_than_linear_work(_unused_ void **state) {
        static uint8_t filled[LINE_MAX_SIZE + 8];
        static const Row patterns[] = {
                {BYTES("x\r"), NULL}, {BYTES("x\b"), NULL}, {BYTES("\x1b[Kx\r"), NULL},
                {BYTES("\x1b[2Kx"), NULL}, {BYTES("\x1b[999Cx\r"), NULL}, {BYTES("\t"), NULL},
                {BYTES("\xc3\xa4\r"), NULL}, {BYTES("\x1b[H"), NULL}, {BYTES("\r\x1b[Jx"), NULL},
                {BYTES("\x1b]0;"), NULL}, {BYTES("\x1b[256Cx\n"), NULL}, {BYTES("\t\t\t\t\t\t\t\tx\x1b[2K"), NULL},
        };
        double plain = seconds_for(BYTES("0123456\r"), 1 << 17);

        memset(filled, 'x', sizeof filled);
        for (size_t i = 0; i < ELEMENTSOF(patterns); i++) {
                double took = seconds_for(patterns[i].data, patterns[i].n, (1 << 20) / patterns[i].n);

                if (took > 0.1 + 300 * plain)
                        fail_msg("pattern %zu took %.3f s, plain text %.3f s", i, took, plain);
        }
}

static void test_a_splitter_without_a_line_has_no_memory(_unused_ void **state) {
        _cleanup_lines_ Lines got = {};
        LineSplitter s = {};

        line_splitter_feed(&s, BYTES("a line\n\x1b[3"), on_line, &got);
        assert_true(line_splitter_is_empty(&s));
        line_splitter_clear(&s);
        assert_null(s.cell);

        /* What it knows of the sequence it is in stays. */
        line_splitter_feed(&s, BYTES("1mred\n"), on_line, &got);
        assert_string_equal(shown(&got), "6:a line|6:red|");
        line_splitter_clear(&s);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_line_feed_ends_a_line),
                cmocka_unit_test(test_what_shows_nothing_is_no_line),
                cmocka_unit_test(test_blanks_at_the_end_do_not_show),
                cmocka_unit_test(test_a_carriage_return_goes_back_and_what_follows_overwrites),
                cmocka_unit_test(test_a_backspace_goes_back_by_one),
                cmocka_unit_test(test_a_tab_goes_to_the_next_stop),
                cmocka_unit_test(test_control_characters_leave_no_trace),
                cmocka_unit_test(test_colours_and_other_sequences_leave_no_trace),
                cmocka_unit_test(test_strings_to_the_terminal_leave_no_trace),
                cmocka_unit_test(test_a_sequence_may_be_given_up),
                cmocka_unit_test(test_a_line_feed_ends_a_string_that_nothing_else_does),
                cmocka_unit_test(test_a_sequence_that_is_too_long_is_none),
                cmocka_unit_test(test_the_cursor_moves_within_a_line),
                cmocka_unit_test(test_the_cursor_does_not_make_long_lines_of_a_few_bytes),
                cmocka_unit_test(test_what_is_erased_does_not_show),
                cmocka_unit_test(test_what_is_elsewhere_on_a_screen_is_another_line),
                cmocka_unit_test(test_a_kernels_prefix_is_the_priority),
                cmocka_unit_test(test_what_is_no_utf8_is_replaced),
                cmocka_unit_test(test_a_character_may_be_interrupted_by_silence),
                cmocka_unit_test(test_what_follows_a_flush_is_another_line),
                cmocka_unit_test(test_a_line_that_is_too_long_comes_in_pieces),
                cmocka_unit_test(test_overwriting_may_make_a_line_too_long),
                cmocka_unit_test(test_text_is_as_names_are),
                cmocka_unit_test(test_whatever_comes_lines_are_fit_for_people_and_cuts_make_no_difference),
                cmocka_unit_test(test_hostile_output_is_no_more_than_linear_work),
                cmocka_unit_test(test_a_splitter_without_a_line_has_no_memory),
        };

        return cmocka_run_group_tests_name("line-splitter", tests, NULL, NULL);
}
