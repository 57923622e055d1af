/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Telnet or raw? A person's telnet program is recognized from its first commands, and nothing that a raw
 * client sends for reasons of its own is mistaken for one. */

#include "harness.h"

#include "telnet/recognize.h"
#include "wire.h"

/* As after our offers to a client: WILL BINARY, WILL ECHO, DO BINARY are open, WILL SGA has been answered. */
static TelnetOptions offered(void) {
        TelnetOptions o = {};

        telnet_option_enable(&o, TELNET_US, TELNET_BINARY);
        telnet_option_enable(&o, TELNET_US, TELNET_ECHO);
        telnet_option_enable(&o, TELNET_HIM, TELNET_BINARY);
        telnet_option_enable(&o, TELNET_US, TELNET_SGA);
        telnet_option_receive(&o, TELNET_DO, TELNET_SGA, true);
        return o;
}

static void assert_recognition(TelnetReadFlags flags, const uint8_t *p, size_t n, TelnetRecognition want) {
        _cleanup_free_ uint8_t *copy = malloc(MAX(n, (size_t) 1));
        TelnetOptions o = offered();

        assert_non_null(copy);
        memcpy(copy, p, n);
        assert_int_equal(telnet_recognize(&o, flags, copy, n), want);
}

static void assert_recognized(const uint8_t *p, size_t n, TelnetRecognition want) {
        assert_recognition(0, p, n, want);
}

static void assert_after_data(const uint8_t *p, size_t n, TelnetRecognition want) {
        assert_recognition(TELNET_READ_LATE, p, n, want);
}

#define AFTER_SILENCE (TELNET_READ_LATE | TELNET_READ_AFTER_SILENCE)

static void assert_after_silence(const uint8_t *p, size_t n, TelnetRecognition want) {
        assert_recognition(AFTER_SILENCE, p, n, want);
}

static void test_an_answer_to_an_open_offer_is_telnet_whatever_follows(_unused_ void **state) {
        assert_recognized(BYTES(IAC DO BINARY "data"), TELNET_RECOGNIZED);
        assert_recognized(BYTES(IAC DONT ECHO "data"), TELNET_RECOGNIZED);
        assert_recognized(BYTES(IAC WILL BINARY IAC), TELNET_RECOGNIZED);
        assert_recognized(BYTES(IAC WONT BINARY "\xff\x01"), TELNET_RECOGNIZED);
}

/* In the options that are offered here SGA has been answered. */
static void test_after_data_one_answer_may_be_chance_and_two_are_none(_unused_ void **state) {
        assert_after_data(BYTES(IAC DO BINARY "data"), TELNET_NOT_RECOGNIZED);
        assert_after_data(BYTES(IAC DO BINARY IAC DO SGA "data"), TELNET_NOT_RECOGNIZED);
        assert_after_data(BYTES(IAC DO BINARY "a" IAC DO ECHO), TELNET_NOT_RECOGNIZED);
        assert_after_data(BYTES(IAC DO BINARY IAC DONT ECHO "data"), TELNET_RECOGNIZED);
        assert_after_data(BYTES(IAC NOP IAC DO BINARY IAC NOP IAC DONT ECHO "data"), TELNET_RECOGNIZED);
        assert_after_data(BYTES(IAC DO BINARY), TELNET_RECOGNIZED);
}

static void test_after_data_an_answer_and_a_beginning_are_telnet(_unused_ void **state) {
        assert_after_data(BYTES(IAC DO BINARY IAC DONT), TELNET_RECOGNIZED);
        assert_after_data(BYTES(IAC DO BINARY IAC), TELNET_RECOGNIZED);
        assert_after_data(BYTES(IAC NOP IAC DONT), TELNET_MAYBE);
}

/* Which is what a person presses, or a program has to say of a sudden. */
static void test_after_data_commands_are_telnet_if_short_and_whole_and_after_silence(_unused_ void **state) {
        uint8_t commands[66];

        for (size_t i = 0; i < sizeof commands; i += 2)
                memcpy(commands + i, IAC NOP, 2);

        assert_after_silence(commands, 2, TELNET_RECOGNIZED);
        assert_after_silence(commands, 64, TELNET_RECOGNIZED);
        assert_after_silence(commands, 66, TELNET_NOT_RECOGNIZED);
        assert_after_data(commands, 2, TELNET_NOT_RECOGNIZED);

        assert_recognition(AFTER_SILENCE | TELNET_READ_CUT, commands, 64, TELNET_NOT_RECOGNIZED);
        assert_recognition(AFTER_SILENCE | TELNET_READ_CUT, BYTES(IAC DO BINARY), TELNET_RECOGNIZED);
        assert_recognized(commands, 66, TELNET_RECOGNIZED);
}

/* It tells nothing about what the client speaks. */
static void test_a_break_is_a_break_after_silence_and_as_the_first_thing(_unused_ void **state) {
        static const struct {
                const uint8_t *p;
                size_t n;
        } breaks[] = {
                {BYTES(IAC BRK)},
                {BYTES(IAC BRK "g")},
                {BYTES(IAC BRK IAC BRK)},
                {BYTES(IAC BRK IAC BRK IAC BRK IAC BRK)},
                {BYTES(IAC BRK IAC BRK IAC BRK "g")},
        };

        for (size_t i = 0; i < ELEMENTSOF(breaks); i++) {
                assert_recognized(breaks[i].p, breaks[i].n, TELNET_BREAK);
                assert_recognition(TELNET_READ_AFTER_SILENCE, breaks[i].p, breaks[i].n, TELNET_BREAK);
                assert_after_silence(breaks[i].p, breaks[i].n, TELNET_BREAK);
                assert_after_data(breaks[i].p, breaks[i].n, TELNET_NOT_RECOGNIZED);
                assert_recognition(AFTER_SILENCE | TELNET_READ_CUT, breaks[i].p, breaks[i].n, TELNET_NOT_RECOGNIZED);
        }
}

static void test_a_break_with_something_else_is_data(_unused_ void **state) {
        assert_after_silence(BYTES(IAC BRK "h"), TELNET_NOT_RECOGNIZED);
        assert_after_silence(BYTES(IAC BRK "\x00"), TELNET_NOT_RECOGNIZED);
        assert_after_silence(BYTES(IAC BRK "gg"), TELNET_NOT_RECOGNIZED);
        assert_after_silence(BYTES("g" IAC BRK), TELNET_NOT_RECOGNIZED);
        assert_after_silence(BYTES(IAC IAC BRK), TELNET_NOT_RECOGNIZED);
        assert_after_silence(BYTES(IAC BRK IAC BRK IAC BRK IAC BRK "g"), TELNET_NOT_RECOGNIZED);
        assert_after_silence(BYTES(IAC BRK IAC BRK IAC BRK IAC BRK IAC BRK), TELNET_NOT_RECOGNIZED);
}

/* gdb sends all of this at once if it is to interrupt the kernel when it connects. The packet may be longer than the
 * read. */
static void test_a_break_may_come_with_what_gdb_says_when_it_connects(_unused_ void **state) {
        uint8_t read[513] = IAC BRK "g+$qSupported:";

        memset(read + 15, 'x', sizeof read - 15);
        assert_recognized(BYTES(IAC BRK "g+$qSupported#37"), TELNET_BREAK);
        assert_recognized(BYTES(IAC BRK "+$qSupported#37"), TELNET_BREAK);
        assert_after_silence(BYTES(IAC BRK "g$"), TELNET_BREAK);
        assert_recognition(AFTER_SILENCE | TELNET_READ_CUT, BYTES(IAC BRK "g+$q"), TELNET_BREAK);
        assert_after_silence(read, 512, TELNET_BREAK);
        assert_after_silence(read, 513, TELNET_NOT_RECOGNIZED);
        assert_after_data(BYTES(IAC BRK "g+$qSupported#37"), TELNET_NOT_RECOGNIZED);
}

static void test_a_break_among_other_commands_is_one_of_them(_unused_ void **state) {
        assert_recognized(BYTES(IAC BRK IAC NOP), TELNET_RECOGNIZED);
        assert_recognized(BYTES(IAC BRK IAC DO BINARY), TELNET_RECOGNIZED);
        assert_after_silence(BYTES(IAC BRK IAC NOP), TELNET_RECOGNIZED);
        assert_after_silence(BYTES(IAC BRK IAC), TELNET_MAYBE);
        assert_after_silence(BYTES(IAC), TELNET_MAYBE);
}

static void test_how_long_the_breaks_at_the_beginning_are(_unused_ void **state) {
        assert_int_equal(telnet_breaks_length(BYTES("")), 0);
        assert_int_equal(telnet_breaks_length(BYTES(IAC)), 0);
        assert_int_equal(telnet_breaks_length(BYTES(IAC BRK)), 2);
        assert_int_equal(telnet_breaks_length(BYTES(IAC BRK IAC)), 2);
        assert_int_equal(telnet_breaks_length(BYTES(IAC BRK IAC BRK "g" IAC BRK)), 4);
        assert_int_equal(telnet_breaks_length(BYTES("g" IAC BRK)), 0);
}

static void test_what_was_not_offered_or_is_answered_is_no_answer(_unused_ void **state) {
        assert_recognized(BYTES(IAC DO SGA "data"), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES(IAC WILL ECHO "data"), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES(IAC DO AUTHENTICATION "data"), TELNET_NOT_RECOGNIZED);
}

static void test_nothing_but_commands_is_telnet(_unused_ void **state) {
        assert_recognized(BYTES(IAC NOP), TELNET_RECOGNIZED);
        assert_recognized(BYTES(IAC BRK IAC AYT), TELNET_RECOGNIZED);
        assert_recognized(BYTES(IAC DO AUTHENTICATION IAC WILL "\x1f"
                                IAC SB "\x1f" "\x00\x50\x00\x18" IAC SE),
                          TELNET_RECOGNIZED);
}

static void test_data_is_not_telnet_even_with_commands_in_it(_unused_ void **state) {
        assert_recognized(BYTES("$qSupported#37"), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES("a" IAC DO SGA), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES(IAC NOP "a"), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES(IAC NOP "a" IAC NOP), TELNET_NOT_RECOGNIZED);
}

static void test_0xff_that_begins_no_command_is_data(_unused_ void **state) {
        assert_recognized(BYTES(IAC IAC), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES(IAC SE), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES(IAC "\x00"), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES(IAC "\xef"), TELNET_NOT_RECOGNIZED);
}

/* Cut anywhere, a stream of commands is one so far, or may become one. It is never turned down. */
static void test_the_beginning_of_a_command_waits_for_the_rest(_unused_ void **state) {
        static const uint8_t in[] =
                IAC NOP IAC DO AUTHENTICATION IAC SB "\x1f" "\x00P" IAC IAC "x" IAC SE IAC AYT;
        static const size_t ends[] = {2, 5, sizeof in - 3, sizeof in - 1}; /* of its commands */

        for (size_t n = 1, i = 0; n < sizeof in; n++) {
                bool whole = n == ends[i];

                assert_recognized(in, n, whole ? TELNET_RECOGNIZED : TELNET_MAYBE);
                i += whole;
        }
}

/* IAC IAC SE in a subnegotiation is a doubled 0xFF and a byte 0xF0; it ends at the IAC SE that is one. */
static void test_a_doubled_0xff_does_not_end_a_subnegotiation(_unused_ void **state) {
        assert_recognized(BYTES(IAC SB "\x1f" "\x00" IAC IAC SE "\x18" IAC SE), TELNET_RECOGNIZED);
}

/* What was typed ahead comes before the answers, in one read with them. */
static void test_an_answer_is_found_behind_what_was_typed(_unused_ void **state) {
        assert_recognized(BYTES("ls\r\n" IAC WILL BINARY), TELNET_RECOGNIZED);
        assert_recognized(BYTES(IAC IAC IAC WONT BINARY), TELNET_RECOGNIZED);
        assert_recognized(BYTES("ls\r\n" IAC WILL), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES("ls" IAC DO SGA), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES("ls" IAC WILL ECHO), TELNET_NOT_RECOGNIZED);
}

static void test_after_data_two_are_wanted_behind_what_was_typed(_unused_ void **state) {
        assert_after_data(BYTES("s" IAC WILL BINARY IAC DO ECHO "a"), TELNET_RECOGNIZED);
        assert_after_data(BYTES("s" IAC WILL BINARY "a"), TELNET_NOT_RECOGNIZED);
        assert_after_data(BYTES("s" IAC WILL BINARY "a" IAC DO ECHO "a"),
                           TELNET_NOT_RECOGNIZED);
}

static void test_in_what_is_longer_than_anybody_types_ahead_an_answer_is_chance(_unused_ void **state) {
        for (size_t n = TELNET_TYPED_AHEAD_MAX; n <= TELNET_TYPED_AHEAD_MAX + 1; n++) {
                uint8_t data[TELNET_TYPED_AHEAD_MAX + 1];

                memset(data, 'a', n);
                memcpy(data + n - 6, IAC DO BINARY IAC DO ECHO, 6);
                for (TelnetReadFlags flags = 0; flags <= TELNET_READ_LATE; flags++)
                        assert_recognition(flags, data, n,
                                           n > TELNET_TYPED_AHEAD_MAX ? TELNET_NOT_RECOGNIZED : TELNET_RECOGNIZED);
        }
}

static void test_a_subnegotiation_that_does_not_end_as_one_is_data(_unused_ void **state) {
        assert_recognized(BYTES(IAC SB "\x1f" "P" IAC NOP), TELNET_NOT_RECOGNIZED);
        assert_recognized(BYTES(IAC SB "\x1f" "P" IAC "\x00"), TELNET_NOT_RECOGNIZED);
}

/* Two VM ports that are joined with each other each have the other's offers. */
static void test_our_own_offers_are_no_clients(_unused_ void **state) {
        const TelnetPolicy policy = {
                .us = (const int16_t[]){TELNET_BINARY, TELNET_ECHO, TELNET_SGA, TELNET_OPTION_END},
                .n_us_offered = 2,
                .him = (const int16_t[]){TELNET_SGA, TELNET_OPTION_END},
                .n_him_offered = 1,
        };
        _cleanup_(buffer_clear) Buffer offers = BUFFER_INIT(64);
        TelnetSession s;
        size_t size = 0;

        telnet_session_init(&s, TELNET_CR_LF_IS_CR);
        assert_int_equal(telnet_session_offer(&s, &policy, &offers), 0);
        assert_memory_equal(buffer_data(&offers), IAC WILL BINARY IAC WILL ECHO IAC DO SGA, 9);
        assert_int_equal(offers.size, 9);

        for (size_t n = 0; n < offers.size; n++) {
                _cleanup_free_ uint8_t *part = malloc(n + 1);

                assert_non_null(part);
                memcpy(part, buffer_data(&offers), n + 1);
                assert_int_equal(telnet_recognize_offers(&policy, part, n + 1, &size),
                                 n + 1 < offers.size ? TELNET_MAYBE : TELNET_RECOGNIZED);
                part[n] ^= 4;
                assert_int_equal(telnet_recognize_offers(&policy, part, n + 1, &size), TELNET_NOT_RECOGNIZED);
        }

        assert_int_equal(telnet_recognize_offers(&policy, BYTES(IAC WILL BINARY IAC WILL ECHO IAC DO SGA "data"),
                                                 &size),
                         TELNET_RECOGNIZED);
        assert_int_equal(size, 9);
        assert_int_equal(telnet_recognize_offers(&policy, BYTES(IAC DO BINARY), &size), TELNET_NOT_RECOGNIZED);
        assert_int_equal(telnet_recognize_offers(&policy, BYTES("data"), &size), TELNET_NOT_RECOGNIZED);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_answer_is_found_behind_what_was_typed),
                cmocka_unit_test(test_after_data_two_are_wanted_behind_what_was_typed),
                cmocka_unit_test(test_in_what_is_longer_than_anybody_types_ahead_an_answer_is_chance),
                cmocka_unit_test(test_an_answer_to_an_open_offer_is_telnet_whatever_follows),
                cmocka_unit_test(test_after_data_one_answer_may_be_chance_and_two_are_none),
                cmocka_unit_test(test_after_data_an_answer_and_a_beginning_are_telnet),
                cmocka_unit_test(test_after_data_commands_are_telnet_if_short_and_whole_and_after_silence),
                cmocka_unit_test(test_a_break_is_a_break_after_silence_and_as_the_first_thing),
                cmocka_unit_test(test_a_break_with_something_else_is_data),
                cmocka_unit_test(test_a_break_may_come_with_what_gdb_says_when_it_connects),
                cmocka_unit_test(test_a_break_among_other_commands_is_one_of_them),
                cmocka_unit_test(test_how_long_the_breaks_at_the_beginning_are),
                cmocka_unit_test(test_what_was_not_offered_or_is_answered_is_no_answer),
                cmocka_unit_test(test_nothing_but_commands_is_telnet),
                cmocka_unit_test(test_data_is_not_telnet_even_with_commands_in_it),
                cmocka_unit_test(test_0xff_that_begins_no_command_is_data),
                cmocka_unit_test(test_the_beginning_of_a_command_waits_for_the_rest),
                cmocka_unit_test(test_a_subnegotiation_that_does_not_end_as_one_is_data),
                cmocka_unit_test(test_a_doubled_0xff_does_not_end_a_subnegotiation),
                cmocka_unit_test(test_our_own_offers_are_no_clients),
        };

        return cmocka_run_group_tests_name("recognize", tests, NULL, NULL);
}
