/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * COM-PORT control: a conversation as RFC 2217 has it, one line a command. Each is confirmed with the value
 * that is in force afterwards; a value of 0 asks for it; one that does not exist is not taken.
 */

#include "harness.h"

#include "telnet/com-port.h"
#include "trace.h"
#include "wire.h"

typedef struct Line {
        const uint8_t *command;
        size_t n;
        const char *answer; /* as in trace.h, without the frame and option; "" is none */
} Line;

static void hear(ComPort *c, const uint8_t *command, size_t n, Buffer *out) {
        TelnetEvent e = {
                .type = TELNET_EVENT_SUBNEGOTIATION, .option = TELNET_COM_PORT, .data = command, .size = n};

        assert_int_equal(com_port_handle(c, &e, out), 0);
}

static void assert_conversation(const Line *lines, size_t n) {
        ComPort c;

        com_port_init(&c);
        for (size_t i = 0; i < n; i++) {
                TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_KEPT);
                _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(256);
                _cleanup_trace_ Trace got = {};
                char want[128] = "";

                hear(&c, lines[i].command, lines[i].n, &out);
                trace_decode(&got, &d, buffer_data(&out), out.size);

                if (*lines[i].answer)
                        snprintf(want, sizeof want, "SB 44 <%s>", lines[i].answer);
                if (!streq(trace_finish(&got), want))
                        fail_msg("line %zu: got %s, want %s", i, trace_finish(&got), want);
        }
}

#define ASSERT_CONVERSATION(...) \
        do { \
                static const Line lines[] = {__VA_ARGS__}; \
                assert_conversation(lines, ELEMENTSOF(lines)); \
        } while (false)

static void test_the_signature_is_told_to_who_asks(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x00"), "dvspc"}, {BYTES("\x00" "ESXi"), ""});
}

static void test_baud_rate(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x01" "\x00\x00\x00\x00"), "e{00}{01}{c2}{00}"},
                            {BYTES("\x01" "\x00\x00\x25\x80"), "e{00}{00}%{80}"},
                            {BYTES("\x01" "\x00\x00\x00\x00"), "e{00}{00}%{80}"},
                            {BYTES("\x01" "\xff\xff\xff\xff"), "e{ff}{ff}{ff}{ff}"});
}

static void test_data_size(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x02\x00"), "f{08}"},
                            {BYTES("\x02\x07"), "f{07}"}, {BYTES("\x02\x00"), "f{07}"},
                            {BYTES("\x02\x05"), "f{05}"}, {BYTES("\x02\x08"), "f{08}"},
                            {BYTES("\x02\x04"), "f{08}"}, {BYTES("\x02\x09"), "f{08}"},
                            {BYTES("\x02\xff"), "f{08}"});
}

static void test_parity(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x03\x00"), "g{01}"},
                            {BYTES("\x03\x02"), "g{02}"}, {BYTES("\x03\x00"), "g{02}"},
                            {BYTES("\x03\x05"), "g{05}"}, {BYTES("\x03\x06"), "g{05}"},
                            {BYTES("\x03\x01"), "g{01}"}, {BYTES("\x03\xff"), "g{01}"});
}

static void test_stop_size(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x04\x00"), "h{01}"},
                            {BYTES("\x04\x03"), "h{03}"}, {BYTES("\x04\x00"), "h{03}"},
                            {BYTES("\x04\x04"), "h{03}"}, {BYTES("\x04\x01"), "h{01}"});
}

static void test_outbound_flow_control(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x05\x00"), "i{01}"},
                            {BYTES("\x05\x02"), "i{02}"}, {BYTES("\x05\x00"), "i{02}"},
                            {BYTES("\x05\x03"), "i{03}"}, {BYTES("\x05\x00"), "i{03}"},
                            {BYTES("\x05\x11"), "i{11}"}, {BYTES("\x05\x00"), "i{11}"},
                            {BYTES("\x05\x13"), "i{13}"}, {BYTES("\x05\x00"), "i{13}"},
                            {BYTES("\x05\x01"), "i{01}"}, {BYTES("\x05\x0d"), "i{0e}"});
}

static void test_break_dtr_and_rts(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x05\x04"), "i{06}"}, {BYTES("\x05\x05"), "i{05}"},
                            {BYTES("\x05\x04"), "i{05}"},
                            {BYTES("\x05\x06"), "i{06}"}, {BYTES("\x05\x04"), "i{06}"},
                            {BYTES("\x05\x07"), "i{08}"}, {BYTES("\x05\x09"), "i{09}"},
                            {BYTES("\x05\x07"), "i{09}"},
                            {BYTES("\x05\x08"), "i{08}"}, {BYTES("\x05\x07"), "i{08}"},
                            {BYTES("\x05\x0a"), "i{0b}"}, {BYTES("\x05\x0c"), "i{0c}"},
                            {BYTES("\x05\x0a"), "i{0c}"},
                            {BYTES("\x05\x0b"), "i{0b}"}, {BYTES("\x05\x0a"), "i{0b}"});
}

static void test_inbound_flow_control(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x05\x0d"), "i{0e}"}, {BYTES("\x05\x0f"), "i{0f}"},
                            {BYTES("\x05\x0d"), "i{0f}"},
                            {BYTES("\x05\x10"), "i{10}"}, {BYTES("\x05\x0d"), "i{10}"},
                            {BYTES("\x05\x0e"), "i{0e}"}, {BYTES("\x05\x0d"), "i{0e}"},
                            {BYTES("\x05\x00"), "i{01}"});
}

/* RFC 2217, SET-CONTROL 18: "Use DTR Flow Control (inbound)", between two that are outbound. */
static void test_dtr_flow_control_is_inbound(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x05\x12"), "i{12}"}, {BYTES("\x05\x0d"), "i{12}"},
                            {BYTES("\x05\x00"), "i{01}"});
}

static void test_controls_that_do_not_exist_are_passed_over(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x05\x14"), ""}, {BYTES("\x05\x7f"), ""}, {BYTES("\x05\xff"), ""});
}

static void test_masks_and_purges_are_confirmed_as_they_are(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x0a\x00"), "n{00}"}, {BYTES("\x0a\xff"), "n{ff}"},
                            {BYTES("\x0b\xff"), "o{ff}"}, {BYTES("\x0c\x03"), "p{03}"});
}

static void test_what_has_no_answer_gets_none(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES(""), ""}, {BYTES("\x06\x00"), ""}, {BYTES("\x07\x00"), ""},
                            {BYTES("\x08"), ""},
                            {BYTES("\x09"), ""}, {BYTES("\x0d\x01"), ""}, {BYTES("\x63\x01"), ""},
                            {BYTES("\x65\x00\x00\x00\x00"), ""}, {BYTES("\xff\xff"), ""});
}

/* Each without its last byte, in memory that ends there. */
static void test_commands_that_are_too_short_are_passed_over(_unused_ void **state) {
        for (uint8_t code = 1; code <= 12; code++)
                for (size_t n = 1; n <= (code == 1 ? 4U : 1U); n++) {
                        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(64);
                        _cleanup_free_ uint8_t *command = calloc(n, 1);
                        char before[COM_PORT_TEXT_MAX], after[COM_PORT_TEXT_MAX];
                        ComPort c;

                        assert_non_null(command);
                        command[0] = code;
                        com_port_init(&c);
                        com_port_format(&c, before);

                        hear(&c, command, n, &out);
                        assert_int_equal(out.size, 0);
                        assert_string_equal(com_port_format(&c, after), before);
                }
}

static void test_no_room_for_the_answer_is_an_error(_unused_ void **state) {
        TelnetEvent e = {.option = TELNET_COM_PORT, .data = (const uint8_t *) "\x02\x08", .size = 2};
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(6);
        ComPort c;

        com_port_init(&c);
        assert_int_equal(com_port_handle(&c, &e, &out), -ENOBUFS);
        assert_int_equal(out.size, 0);
}

static void test_settings_are_shown_as_people_write_them(_unused_ void **state) {
        static const struct {
                const uint8_t *command;
                size_t n;
                const char *text;
        } steps[] = {
                {BYTES(""), "115200 8N1"},
                {BYTES("\x01" "\x00\x00\x25\x80"), "9600 8N1"},
                {BYTES("\x02\x07"), "9600 7N1"},
                {BYTES("\x03\x02"), "9600 7O1"},
                {BYTES("\x03\x03"), "9600 7E1"},
                {BYTES("\x03\x04"), "9600 7M1"},
                {BYTES("\x03\x05"), "9600 7S1"},
                {BYTES("\x04\x02"), "9600 7S2"},
                {BYTES("\x04\x03"), "9600 7S1.5"},
                {BYTES("\x01" "\xff\xff\xff\xff"), "4294967295 7S1.5"},
        };
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(1024);
        char text[COM_PORT_TEXT_MAX];
        ComPort c;

        com_port_init(&c);
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                hear(&c, steps[i].command, steps[i].n, &out);
                assert_string_equal(com_port_format(&c, text), steps[i].text);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_signature_is_told_to_who_asks),
                cmocka_unit_test(test_baud_rate),
                cmocka_unit_test(test_data_size),
                cmocka_unit_test(test_parity),
                cmocka_unit_test(test_stop_size),
                cmocka_unit_test(test_outbound_flow_control),
                cmocka_unit_test(test_break_dtr_and_rts),
                cmocka_unit_test(test_inbound_flow_control),
                cmocka_unit_test(test_dtr_flow_control_is_inbound),
                cmocka_unit_test(test_controls_that_do_not_exist_are_passed_over),
                cmocka_unit_test(test_masks_and_purges_are_confirmed_as_they_are),
                cmocka_unit_test(test_what_has_no_answer_gets_none),
                cmocka_unit_test(test_commands_that_are_too_short_are_passed_over),
                cmocka_unit_test(test_no_room_for_the_answer_is_an_error),
                cmocka_unit_test(test_settings_are_shown_as_people_write_them),
        };

        return cmocka_run_group_tests_name("com-port", tests, NULL, NULL);
}
