/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * COM-PORT as a client of a VM's console speaks it, one line a command: what it sets is confirmed as it was set, what it
 * asks for is what it has set or, before that, what the VM has. The VM's port is 9600 7E2, with hardware flow control.
 */

#include "harness.h"

#include "telnet/com-port.h"
#include "trace.h"
#include "wire.h"

typedef struct Line {
        const uint8_t *command;
        size_t n;
        const char *answer; /* as in trace.h, without the frame and option; "" is none */
        bool is_break;
} Line;

static const ComPort vm = {
        .baud_rate = 9600,
        .data_size = 7,
        .parity = COM_PORT_PARITY_EVEN,
        .stop_size = COM_PORT_STOP_2,
        .flow_control = 3,
        .brk = 6,
        .dtr = 8,
        .rts = 12,
        .inbound_flow_control = 16,
};

static void assert_conversation(const Line *lines, size_t n) {
        ComPort wish = {};

        for (size_t i = 0; i < n; i++) {
                TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_KEPT);
                _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(64);
                _cleanup_free_ uint8_t *command = malloc(MAX(lines[i].n, (size_t) 1));
                _cleanup_trace_ Trace got = {};
                char want[128] = "";

                /* In memory that ends where the command does */
                assert_non_null(command);
                memcpy(command, lines[i].command, lines[i].n);
                TelnetEvent e = {.type = TELNET_EVENT_SUBNEGOTIATION,
                                 .option = TELNET_COM_PORT,
                                 .data = command,
                                 .size = lines[i].n};
                assert_int_equal(com_port_confirm(&wish, &vm, &e, &out), 0);
                trace_decode(&got, &d, buffer_data(&out), out.size);

                if (*lines[i].answer)
                        snprintf(want, sizeof want, "SB 44 <%s>", lines[i].answer);
                if (!streq(trace_finish(&got), want))
                        fail_msg("line %zu: got %s, want %s", i, trace_finish(&got), want);
                assert_int_equal(com_port_is_break(&e), lines[i].is_break);
        }
}

#define ASSERT_CONVERSATION(...) \
        do { \
                static const Line lines[] = {__VA_ARGS__}; \
                assert_conversation(lines, ELEMENTSOF(lines)); \
        } while (false)

static void test_what_the_vm_has_set(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x01" "\x00\x00\x00\x00"), "e{00}{00}%{80}"}, {BYTES("\x02\x00"), "f{07}"},
                            {BYTES("\x03\x00"), "g{03}"}, {BYTES("\x04\x00"), "h{02}"},
                            {BYTES("\x05\x00"), "i{03}"}, {BYTES("\x05\x04"), "i{06}"},
                            {BYTES("\x05\x07"), "i{08}"}, {BYTES("\x05\x0a"), "i{0c}"},
                            {BYTES("\x05\x0d"), "i{10}"});
}

static void test_what_is_set_is_confirmed_and_then_in_force_for_that_client(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x01" "\x00\x00\x4b\x00"), "e{00}{00}K{00}"},
                            {BYTES("\x01" "\x00\x00\x00\x00"), "e{00}{00}K{00}"},
                            {BYTES("\x02\x05"), "f{05}"}, {BYTES("\x02\x00"), "f{05}"},
                            {BYTES("\x03\x01"), "g{01}"}, {BYTES("\x03\x00"), "g{01}"},
                            {BYTES("\x04\x03"), "h{03}"}, {BYTES("\x04\x00"), "h{03}"},
                            {BYTES("\x05\x13"), "i{13}"}, {BYTES("\x05\x00"), "i{13}"},
                            {BYTES("\x05\x0e"), "i{0e}"}, {BYTES("\x05\x0d"), "i{0e}"},
                            {BYTES("\x05\x09"), "i{09}"}, {BYTES("\x05\x07"), "i{09}"},
                            {BYTES("\x05\x0a"), "i{0c}"});
}

/* A program gives up if it is told something else, and there is no port for which it would matter. */
static void test_so_is_what_makes_no_sense(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x01" "\xff\xff\xff\xff"), "e{ff}{ff}{ff}{ff}"},
                            {BYTES("\x02\xff"), "f{ff}"}, {BYTES("\x03\x63"), "gc"},
                            {BYTES("\x04\x09"), "h{09}"});
}

static void test_break_on_is_a_break_and_break_off_is_none(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x05\x05"), "i{05}", true}, {BYTES("\x05\x04"), "i{05}"},
                            {BYTES("\x05\x06"), "i{06}"}, {BYTES("\x05\x04"), "i{06}"},
                            {BYTES("\x05\x05"), "i{05}", true}, {BYTES("\x02\x05"), "f{05}"});
}

static void test_signature_masks_purges_and_modem_lines(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES("\x00"), "dvspc"}, {BYTES("\x00" "pyserial"), ""},
                            {BYTES("\x0a\xff"), "n{ff}"}, {BYTES("\x0b\x00"), "o{00}"},
                            {BYTES("\x0c\x03"), "p{03}"}, {BYTES("\x07"), "k{b0}"});
}

static void test_what_is_too_short_or_unknown_gets_no_answer(_unused_ void **state) {
        ASSERT_CONVERSATION({BYTES(""), ""}, {BYTES("\x01" "\x00\x00\x00"), ""}, {BYTES("\x02"), ""},
                            {BYTES("\x03"), ""}, {BYTES("\x04"), ""}, {BYTES("\x05"), ""},
                            {BYTES("\x0a"), ""}, {BYTES("\x0c"), ""}, {BYTES("\x06"), ""},
                            {BYTES("\x08"), ""}, {BYTES("\x09"), ""}, {BYTES("\x0d\x01"), ""},
                            {BYTES("\x05\x14"), ""}, {BYTES("\x05\xff"), ""},
                            {BYTES("\x65\x00\x00\x00\x00"), ""}, {BYTES("\xff"), ""});
}

static void test_an_answer_without_room_is_an_error(_unused_ void **state) {
        TelnetEvent e = {.option = TELNET_COM_PORT, .data = (const uint8_t *) "\x02\x08", .size = 2};
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(6);
        ComPort wish = {};

        assert_int_equal(com_port_confirm(&wish, &vm, &e, &out), -ENOBUFS);
        assert_int_equal(com_port_put_modem_state(&out), -ENOBUFS);
        assert_int_equal(out.size, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_the_vm_has_set),
                cmocka_unit_test(test_what_is_set_is_confirmed_and_then_in_force_for_that_client),
                cmocka_unit_test(test_so_is_what_makes_no_sense),
                cmocka_unit_test(test_break_on_is_a_break_and_break_off_is_none),
                cmocka_unit_test(test_signature_masks_purges_and_modem_lines),
                cmocka_unit_test(test_what_is_too_short_or_unknown_gets_no_answer),
                cmocka_unit_test(test_an_answer_without_room_is_an_error),
        };

        return cmocka_run_group_tests_name("com-port-client", tests, NULL, NULL);
}
