/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A telnet session: what it offers and agrees to, and how each direction changes between NVT and BINARY at
 * the very byte where the negotiation stands in the stream, with no command ever inside a sequence of data.
 */

#include "harness.h"

#include "prng.h"
#include "telnet/session.h"
#include "trace.h"
#include "wire.h"

/* As protocol.md has it towards a VM: six offers, and COM-PORT once the VM begins. */
static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_us_offered = 3,
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_VMWARE, TELNET_COM_PORT,
                                 TELNET_OPTION_END},
        .n_him_offered = 3,
};

typedef struct Fixture {
        TelnetSession session;
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        Buffer out;
        Trace received;
} Fixture;

static void setup(Fixture *f) {
        memset(&f->session, 0xaa, sizeof f->session);
        telnet_session_init(&f->session, TELNET_CR_LF_KEPT);
        f->out = BUFFER_INIT(4096);
        f->received = (Trace){};
}

static void teardown(Fixture *f) {
        buffer_clear(&f->out);
        trace_done(&f->received);
}

#define FIXTURE(f) _cleanup_(teardown) Fixture f; setup(&f)

static int hear(Fixture *f, const uint8_t *p, size_t n) {
        while (n > 0) {
                TelnetAnswer answer;
                TelnetEvent e;
                size_t used = telnet_decode(&f->session.in, f->subnegotiation, p, n, &e);

                if (e.type == TELNET_EVENT_NEGOTIATION) {
                        int r = telnet_session_negotiate(&f->session, &policy, &e, &f->out, &answer);
                        if (r < 0)
                                return r;
                } else
                        trace_event(&f->received, &e);

                p += used;
                n -= used;
        }

        return 0;
}

static void say(Fixture *f, const uint8_t *p, size_t n) {
        uint8_t chunk[16];
        size_t size;

        do {
                size_t consumed;

                size = telnet_encode(&f->session.out, p, n, chunk, sizeof chunk, &consumed);
                assert_int_equal(buffer_append(&f->out, chunk, size), 0);
                p += consumed;
                n -= consumed;
        } while (n > 0 || size == sizeof chunk);
}

static void assert_said(Fixture *f, const uint8_t *want, size_t n) {
        _cleanup_trace_ Trace got = {}, wanted = {};

        trace_bytes(&got, buffer_data(&f->out), f->out.size);
        trace_bytes(&wanted, want, n);
        assert_string_equal(got.text ?: "", wanted.text ?: "");
}

static void test_it_begins_with_its_offers_in_order(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);
        assert_said(&f, BYTES(IAC WILL BINARY IAC WILL SGA IAC WILL ECHO
                              IAC DO BINARY IAC DO SGA IAC DO VMWARE));
}

static void test_what_was_offered_is_not_offered_again(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);
        size_t n = f.out.size;
        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);
        assert_int_equal(f.out.size, n);
}

static void test_acceptance_of_an_offer_needs_no_answer(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);
        buffer_clear(&f.out);
        assert_int_equal(hear(&f, BYTES(IAC DO BINARY IAC DO SGA IAC DO ECHO IAC WILL BINARY IAC WILL SGA
                                        IAC WILL VMWARE)), 0);
        assert_said(&f, BYTES(""));
}

static void test_a_refused_offer_leaves_nvt_in_force(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);
        buffer_clear(&f.out);
        assert_int_equal(hear(&f, BYTES(IAC DONT BINARY IAC WONT BINARY "\r\x00")), 0);
        say(&f, BYTES("\rx"));
        assert_said(&f, BYTES("\r\x00x"));
        assert_string_equal(trace_finish(&f.received), "<{0d}>");
}

static void test_what_is_in_the_policy_but_not_offered_is_agreed_to(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(hear(&f, BYTES(IAC WILL COM_PORT)), 0);
        assert_said(&f, BYTES(IAC DO COM_PORT));
}

static void test_what_is_not_in_the_policy_is_refused(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(hear(&f, BYTES(IAC WILL AUTHENTICATION IAC DO COM_PORT IAC WILL ECHO)), 0);
        assert_said(&f, BYTES(IAC DONT AUTHENTICATION IAC WONT COM_PORT IAC DONT ECHO));
}

static void test_a_policy_is_a_list_for_each_side(_unused_ void **state) {
        assert_true(telnet_policy_accepts(&policy, TELNET_US, TELNET_BINARY));
        assert_true(telnet_policy_accepts(&policy, TELNET_US, TELNET_ECHO));
        assert_false(telnet_policy_accepts(&policy, TELNET_HIM, TELNET_ECHO));
        assert_true(telnet_policy_accepts(&policy, TELNET_HIM, TELNET_COM_PORT));
        assert_false(telnet_policy_accepts(&policy, TELNET_US, TELNET_COM_PORT));
        assert_false(telnet_policy_accepts(&policy, TELNET_US, 255));
}

static void test_the_answer_is_handed_to_the_caller(_unused_ void **state) {
        FIXTURE(f);
        TelnetAnswer answer;

        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);

        TelnetEvent dont = {TELNET_EVENT_NEGOTIATION, .command = TELNET_DONT, .option = TELNET_ECHO};
        assert_int_equal(telnet_session_negotiate(&f.session, &policy, &dont, &f.out, &answer), 0);
        assert_true(answer.refused);
        assert_false(answer.changed);

        TelnetEvent will = {TELNET_EVENT_NEGOTIATION, .command = TELNET_WILL, .option = TELNET_VMWARE};
        assert_int_equal(telnet_session_negotiate(&f.session, &policy, &will, &f.out, &answer), 0);
        assert_true(answer.changed);
        assert_false(answer.refused);
}

static void test_both_directions_begin_as_nvt(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(hear(&f, BYTES("\r\x00x")), 0);
        say(&f, BYTES("\rx"));
        assert_string_equal(trace_finish(&f.received), "<{0d}x>");
        assert_said(&f, BYTES("\r\x00x"));
}

/* Inwards: what stands before WILL BINARY is NVT, what stands behind it is not, and WONT ends it. */
static void test_incoming_data_changes_at_the_negotiation_wherever_the_reads_end(_unused_ void **state) {
        static const uint8_t in[] = "a\r\x00" IAC WILL BINARY "b\r\x00" IAC WONT BINARY
                                    "c\r\x00\r" IAC WILL BINARY "\x00";

        for (size_t cut = 0; cut < sizeof in - 1; cut++) {
                FIXTURE(f);

                assert_int_equal(hear(&f, in, cut), 0);
                assert_int_equal(hear(&f, in + cut, sizeof in - 1 - cut), 0);
                assert_string_equal(trace_finish(&f.received), "<a{0d}b{0d}{00}c{0d}{0d}{00}>");
                assert_said(&f, BYTES(IAC DO BINARY IAC DONT BINARY IAC DO BINARY));
        }
}

static void test_incoming_binary_does_not_change_what_goes_out(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(hear(&f, BYTES(IAC WILL BINARY)), 0);
        buffer_clear(&f.out);
        say(&f, BYTES("\rx"));
        assert_said(&f, BYTES("\r\x00x"));
}

/* Outwards, the peer having begun: NVT up to our WILL BINARY, 8 bits after it, and back at our WONT. */
static void test_outgoing_data_changes_at_our_answer(_unused_ void **state) {
        FIXTURE(f);

        say(&f, BYTES("\r"));
        assert_int_equal(hear(&f, BYTES(IAC DO BINARY)), 0);
        say(&f, BYTES("\n\rx\xff\r"));
        assert_int_equal(hear(&f, BYTES(IAC DONT BINARY)), 0);
        say(&f, BYTES("\ny\rz"));
        assert_said(&f, BYTES("\r\x00" IAC WILL BINARY "\n\rx" IAC IAC "\r" IAC WONT BINARY "\ny\r\x00z"));
}

/* Outwards, we having offered: there is no answer to mark the place, but a CR that waits for its second half
 * is still ended the old way. */
static void test_outgoing_data_changes_when_our_offer_is_accepted(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);
        buffer_clear(&f.out);
        say(&f, BYTES("\r"));
        assert_int_equal(hear(&f, BYTES(IAC DO BINARY)), 0);
        say(&f, BYTES("\n\rx"));
        assert_said(&f, BYTES("\r\x00\n\rx"));
}

static void test_other_options_do_not_change_the_transmission(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(hear(&f, BYTES(IAC DO SGA IAC WILL SGA IAC DO ECHO IAC WILL VMWARE "\r\x00")), 0);
        buffer_clear(&f.out);
        say(&f, BYTES("\rx"));
        assert_said(&f, BYTES("\r\x00x"));
        assert_string_equal(trace_finish(&f.received), "<{0d}>");
}

/* Nor is a CR that waits for its LF disturbed by what has nothing to do with it and needs no answer. */
static void test_acceptance_of_another_option_leaves_a_line_end_whole(_unused_ void **state) {
        FIXTURE(f);

        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);
        buffer_clear(&f.out);
        say(&f, BYTES("\r"));
        assert_int_equal(hear(&f, BYTES(IAC DO SGA)), 0);
        say(&f, BYTES("\n"));
        assert_said(&f, BYTES("\r\n"));
}

static void test_a_command_ends_a_cr_first(_unused_ void **state) {
        FIXTURE(f);

        say(&f, BYTES("a\r"));
        assert_int_equal(telnet_session_put(&f.session, &f.out, (const uint8_t *) BRK, 1), 0);
        say(&f, BYTES("\nb"));
        assert_said(&f, BYTES("a\r\x00" IAC BRK "\nb"));
}

static void test_a_command_ends_half_an_escape_first(_unused_ void **state) {
        FIXTURE(f);
        uint8_t half[1];
        size_t consumed;

        assert_int_equal(telnet_encode(&f.session.out, (const uint8_t *) "\xff", 1, half, 1, &consumed), 1);
        assert_int_equal(buffer_append(&f.out, half, 1), 0);
        assert_int_equal(telnet_session_put(&f.session, &f.out, (const uint8_t *) NOP, 1), 0);
        assert_said(&f, BYTES(IAC IAC IAC NOP));
}

static void test_settling_before_a_subnegotiation_ends_what_was_begun(_unused_ void **state) {
        FIXTURE(f);

        say(&f, BYTES("\r"));
        assert_int_equal(telnet_session_complete(&f.session, &f.out), 0);
        assert_int_equal(telnet_put_subnegotiation(&f.out, TELNET_VMWARE, "\x47", 1), 0);
        assert_int_equal(telnet_session_complete(&f.session, &f.out), 0);
        assert_said(&f, BYTES("\r\x00" IAC SB VMWARE "\x47" IAC SE));
}

static void test_a_command_that_does_not_fit_is_refused(_unused_ void **state) {
        FIXTURE(f);

        f.out = BUFFER_INIT(4);
        say(&f, BYTES("ab"));
        assert_int_equal(telnet_session_put(&f.session, &f.out, BYTES(WILL SGA)), -ENOBUFS);
        assert_said(&f, BYTES("ab"));
}

/* Else the stream would lose half an escape, and the peer would take data for a command. */
static void test_what_is_owed_is_not_forgotten_for_lack_of_room(_unused_ void **state) {
        FIXTURE(f);
        uint8_t half[1];
        size_t consumed;

        f.out = BUFFER_INIT(1);
        assert_int_equal(telnet_encode(&f.session.out, (const uint8_t *) "\xff", 1, half, 1, &consumed), 1);
        assert_int_equal(buffer_append(&f.out, half, 1), 0);
        assert_int_equal(telnet_session_complete(&f.session, &f.out), -ENOBUFS);

        buffer_clear(&f.out);
        assert_int_equal(telnet_session_complete(&f.session, &f.out), 0);
        assert_said(&f, BYTES(IAC));
}

static void test_negotiation_fails_where_its_answer_does_not_fit(_unused_ void **state) {
        FIXTURE(f);

        f.out = BUFFER_INIT(2);
        assert_int_equal(hear(&f, BYTES(IAC WILL SGA)), -ENOBUFS);
}

/* Each command of a peer is three bytes; no stream of them makes us say more than it did. */
static void test_a_hostile_peer_does_not_make_us_say_more_than_it_says(_unused_ void **state) {
        Prng random = prng_init();
        FIXTURE(f);

        assert_int_equal(telnet_session_offer(&f.session, &policy, &f.out), 0);
        buffer_clear(&f.out);

        for (unsigned i = 0; i < 50000; i++) {
                static const uint8_t options[] = {0, 1, 3, 37, 44, 232};
                uint8_t command[] = {TELNET_IAC, (uint8_t) (TELNET_WILL + prng_below(&random, 4)),
                                     options[prng_below(&random, sizeof options)]};

                assert_int_equal(hear(&f, command, sizeof command), 0);
                assert_in_range(f.out.size, 0, sizeof command);
                buffer_clear(&f.out);
        }
}

/* Moves what @from has said to @to, in reads of any size. */
static void carry(Prng *random, Fixture *from, Fixture *to) {
        while (from->out.size > 0) {
                size_t n = 1 + prng_below(random, MIN(from->out.size, (size_t) 20));

                assert_int_equal(hear(to, buffer_data(&from->out), n), 0);
                buffer_consume(&from->out, n);
        }
}

/*
 * Two sessions on one wire. Data of any value passes in both directions before the negotiation and after it.
 * In between, while an end has offered BINARY and not yet heard DO, the peer may already read 8 bits what it
 * still writes as NVT (RFC 854 says so and recommends to wait), so what is said then has no CR.
 */
static void test_two_sessions_pass_all_data_before_during_and_after_negotiation(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned round = 0; round < 500; round++) {
                Trace want[2] = {};
                Fixture ends[2];

                setup(&ends[0]);
                setup(&ends[1]);

                for (unsigned phase = 0; phase < 3; phase++) {
                        if (phase == 1)
                                for (size_t i = 0; i <= (round & 1); i++)
                                        assert_int_equal(telnet_session_offer(&ends[i].session, &policy,
                                                                              &ends[i].out), 0);

                        for (unsigned turn = 0; turn < 6; turn++) {
                                size_t i = prng_next(&random) & 1, n = 1 + prng_below(&random, 80);
                                uint8_t data[80];

                                prng_fill(&random, data, n, BYTES("\xff\xff\n\x00\xfa\xf0"));
                                for (size_t k = 0; k < n; k++)
                                        if (data[k] == '\r' || (phase != 1 && data[k] == 0xfa))
                                                data[k] = phase == 1 ? 'x' : '\r';

                                say(&ends[i], data, n);
                                trace_data(&want[1 - i], data, n);
                                if (prng_next(&random) & 1)
                                        carry(&random, &ends[i], &ends[1 - i]);
                        }

                        /* An end that has been read to its last byte owes nothing that the next phase needs.
                         * */
                        while (ends[0].out.size + ends[1].out.size > 0) {
                                carry(&random, &ends[0], &ends[1]);
                                carry(&random, &ends[1], &ends[0]);
                        }
                }

                for (size_t i = 0; i < 2; i++) {
                        const TelnetOptions *o = &ends[i].session.options;

                        assert_true(telnet_option_enabled(o, TELNET_US, TELNET_BINARY));
                        assert_true(telnet_option_enabled(o, TELNET_HIM, TELNET_BINARY));
                        assert_text_equal(trace_finish(&ends[i].received), trace_finish(&want[i]));
                        teardown(&ends[i]);
                        trace_done(&want[i]);
                }
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_begins_with_its_offers_in_order),
                cmocka_unit_test(test_what_was_offered_is_not_offered_again),
                cmocka_unit_test(test_acceptance_of_an_offer_needs_no_answer),
                cmocka_unit_test(test_a_refused_offer_leaves_nvt_in_force),
                cmocka_unit_test(test_what_is_in_the_policy_but_not_offered_is_agreed_to),
                cmocka_unit_test(test_what_is_not_in_the_policy_is_refused),
                cmocka_unit_test(test_a_policy_is_a_list_for_each_side),
                cmocka_unit_test(test_the_answer_is_handed_to_the_caller),
                cmocka_unit_test(test_both_directions_begin_as_nvt),
                cmocka_unit_test(test_incoming_data_changes_at_the_negotiation_wherever_the_reads_end),
                cmocka_unit_test(test_incoming_binary_does_not_change_what_goes_out),
                cmocka_unit_test(test_outgoing_data_changes_at_our_answer),
                cmocka_unit_test(test_outgoing_data_changes_when_our_offer_is_accepted),
                cmocka_unit_test(test_other_options_do_not_change_the_transmission),
                cmocka_unit_test(test_acceptance_of_another_option_leaves_a_line_end_whole),
                cmocka_unit_test(test_a_command_ends_a_cr_first),
                cmocka_unit_test(test_a_command_ends_half_an_escape_first),
                cmocka_unit_test(test_settling_before_a_subnegotiation_ends_what_was_begun),
                cmocka_unit_test(test_a_command_that_does_not_fit_is_refused),
                cmocka_unit_test(test_what_is_owed_is_not_forgotten_for_lack_of_room),
                cmocka_unit_test(test_negotiation_fails_where_its_answer_does_not_fit),
                cmocka_unit_test(test_a_hostile_peer_does_not_make_us_say_more_than_it_says),
                cmocka_unit_test(test_two_sessions_pass_all_data_before_during_and_after_negotiation),
        };

        return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
