/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a terminal answers, by the documents that say so, and what only looks like it. */

#include "harness.h"

#include <stdio.h>

#include "telnet/terminal-query.h"

static TerminalSequence parse(const uint8_t *p, size_t n) {
        /* Of its exact size, for the sanitizers */
        _cleanup_free_ uint8_t *copy = malloc(n);

        assert_non_null(copy);
        memcpy(copy, p, n);
        assert_int_equal(terminal_find_introducer(copy, n), 0);
        return terminal_parse(copy, n);
}

/* It is one as a whole, whatever follows, and none yet without its last byte. */
static void assert_query(const uint8_t *p, size_t n) {
        uint8_t longer[64];

        assert_in_range(n, 1, sizeof longer - 1);
        memcpy(longer, p, n);
        longer[n] = 'n';

        TerminalSequence whole = parse(p, n), followed = parse(longer, n + 1);
        assert_int_equal(whole.type, TERMINAL_QUERY);
        assert_int_equal(whole.size, n);
        assert_int_equal(followed.type, TERMINAL_QUERY);
        assert_int_equal(followed.size, n);
        for (size_t i = 1; i < n; i++)
                assert_int_equal(parse(p, i).type, TERMINAL_OPEN);
}

static void assert_other(const uint8_t *p, size_t n) {
        assert_int_equal(parse(p, n).type, TERMINAL_OTHER);
}

static void assert_cut(size_t size, const uint8_t *p, size_t n) {
        TerminalSequence sequence = parse(p, n);

        assert_int_equal(sequence.type, TERMINAL_CUT);
        assert_int_equal(sequence.size, size);
}

static void test_status_and_identity(_unused_ void **state) {
        assert_query(BYTES("\x05"));
        assert_query(BYTES("\033Z"));
        assert_query(BYTES("\033[6n"));
        assert_query(BYTES("\033[?6n"));
        assert_query(BYTES("\033[c"));
        assert_query(BYTES("\033[0c"));
        assert_query(BYTES("\033[?c"));
        assert_query(BYTES("\033[>0;0c"));
        assert_query(BYTES("\033[=c"));
        assert_query(BYTES("\033[>q"));
        assert_query(BYTES("\033[x"));
        assert_query(BYTES("\033[1x"));
        assert_other(BYTES("\033[>1n"));
        assert_other(BYTES("\033[?0c"));
        assert_other(BYTES("\033[?62;c"));
        assert_other(BYTES("\033[1c"));
        assert_other(BYTES("\033[3;1x"));
        assert_other(BYTES("\033[ q"));
        assert_other(BYTES("\033[1 q"));
}

static void test_windows(_unused_ void **state) {
        for (unsigned i = 0; i < 100; i++) {
                char text[16];
                size_t n = (size_t) snprintf(text, sizeof text, "\033[%u;2t", i);

                if (i == 11 || (i >= 13 && i <= 16) || (i >= 18 && i <= 21))
                        assert_query((const uint8_t *) text, n);
                else
                        assert_other((const uint8_t *) text, n);
        }

        assert_other(BYTES("\033[t"));
        assert_other(BYTES("\033[>14t"));
        assert_other(BYTES("\033[99999999999999999999914t"));
}

static void test_modes(_unused_ void **state) {
        assert_query(BYTES("\033[4$p"));
        assert_query(BYTES("\033[?2026$p"));
        assert_query(BYTES("\033[?u"));
        assert_query(BYTES("\033P$q\"p\033\\"));
        assert_other(BYTES("\033[!p"));
        assert_other(BYTES("\033[61\"p"));
        assert_other(BYTES("\033[u"));
        assert_other(BYTES("\033[?1u"));
        assert_other(BYTES("\033[?1h"));
}

static void test_xtgettcap(_unused_ void **state) {
        assert_query(BYTES("\033P+q544e;436f\033\\"));
        assert_query(BYTES("\033P+q544e\x9c"));
        assert_query(BYTES("\033P+q544e\xc2\x9c"));
        assert_query(BYTES("\033P+q544e\a"));
        assert_query(BYTES("\x90+q544e\033\\"));
        assert_other(BYTES("\033Pq#0;2;0;0;0\033\\"));
        assert_other(BYTES("\033P+p544e\033\\"));
        assert_other(BYTES("\033P+\033\\"));
        assert_other(BYTES("\033X+q544e\033\\"));
}

static void test_osc(_unused_ void **state) {
        assert_query(BYTES("\033]10;?\a"));
        assert_query(BYTES("\033]11;?\033\\"));
        assert_query(BYTES("\033]4;0;?;1;#000\033\\"));
        assert_query(BYTES("\033]52;c;?\x9c"));
        assert_query(BYTES("\033]52;;?\xc2\x9c"));
        assert_query(BYTES("\033]21;foreground=?;cursor=\033\\"));
        assert_query(BYTES("\033]2;?\a"));
        assert_query(BYTES("\x9d" "12;?\a"));
        assert_query(BYTES("\xc2\x9d" "12;?\a"));
        assert_other(BYTES("\033]2;what?\a"));
        assert_other(BYTES("\033]2;??\a"));
        assert_other(BYTES("\033]10\a"));
        assert_other(BYTES("\033];?\a"));
        assert_other(BYTES("\033]?\a"));
        assert_other(BYTES("\033]P0?;?\a"));
        assert_other(BYTES("\033]8;;http://h/?a=?\a"));
        assert_other(BYTES("\033]21;=\a"));
}

static void test_csi_in_one_byte_and_as_a_character(_unused_ void **state) {
        assert_query(BYTES("\x9b" "6n"));
        assert_query(BYTES("\xc2\x9b" "6n"));
        assert_query(BYTES("\xc2\x9a"));
        assert_other(BYTES("\x9b" "6m"));
        assert_other(BYTES("\xc2\xb0" "6n"));
        assert_int_equal(terminal_find_introducer(BYTES("\x9a")), 1);
}

/* As a terminal does, which carries them out and goes on with the sequence */
static void test_control_characters_within_a_sequence_are_skipped(_unused_ void **state) {
        assert_query(BYTES("\033\x05[\n6\r;\a\x7f" "n"));
        assert_query(BYTES("\033]10\n;?\x05\033\x05\\"));
        assert_query(BYTES("\xc2\x05\x9b" "6n"));
        assert_other(BYTES("\033[6\x18n"));
        assert_other(BYTES("\033[6\x1an"));
        assert_other(BYTES("\033]10;?\x18\a"));
}

static void test_a_sequence_that_another_one_cuts(_unused_ void **state) {
        assert_cut(1, BYTES("\033\033[6n"));
        assert_cut(3, BYTES("\033[6\033[6n"));
        assert_cut(3, BYTES("\033[6\x9b" "6n"));
        assert_cut(3, BYTES("\033[6\xc2\x9b" "6n"));
        assert_cut(6, BYTES("\033]10;?\033[6n"));
        assert_cut(4, BYTES("\033]2;\xc2\xb0\a"));
        assert_cut(2, BYTES("\033(\033[6n"));
        assert_other(BYTES("\033(Z"));
        assert_other(BYTES("\033[\xe9" "6n"));
        assert_other(BYTES("\033]2;\xc3\xa9;?\a"));
}

static void test_what_no_terminal_understands_asks_nothing(_unused_ void **state) {
        assert_other(BYTES("\033[6?n"));
        assert_other(BYTES("\033[?>6n"));
        assert_other(BYTES("\033[$6p"));
        assert_other(BYTES("\033[ $p"));
        assert_other(BYTES("\033[<6n"));
}

/* Introducers are looked for in one piece after the other. */
static void test_the_next_introducer_is_found_wherever_it_is(_unused_ void **state) {
        static const uint8_t introducers[] = {0x1b, 0x05, 0x90, 0x9b, 0x9d, 0xc2};
        uint8_t text[2000];

        memset(text, 'x', sizeof text);
        assert_int_equal(terminal_find_introducer(text, sizeof text), sizeof text);
        for (size_t i = 0; i < sizeof text; i++) {
                text[sizeof text - 1] = 0x1b;
                text[i] = introducers[i % sizeof introducers];
                assert_int_equal(terminal_find_introducer(text, sizeof text), i);
                text[i] = 'x';
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_status_and_identity),
                cmocka_unit_test(test_windows),
                cmocka_unit_test(test_modes),
                cmocka_unit_test(test_xtgettcap),
                cmocka_unit_test(test_osc),
                cmocka_unit_test(test_csi_in_one_byte_and_as_a_character),
                cmocka_unit_test(test_control_characters_within_a_sequence_are_skipped),
                cmocka_unit_test(test_a_sequence_that_another_one_cuts),
                cmocka_unit_test(test_what_no_terminal_understands_asks_nothing),
                cmocka_unit_test(test_the_next_introducer_is_found_wherever_it_is),
        };

        return cmocka_run_group_tests_name("terminal-query", tests, NULL, NULL);
}
