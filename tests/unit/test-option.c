/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Option negotiation. The table below is RFC 1143, section 7, line for line, without the states that are only reached by
 * disabling an option, with "he", WILL/WONT and DO/DONT as the RFC writes it for his side; for our side DO/DONT are received
 * and WILL/WONT sent. Then what the Q method is for: no peer, however hostile or confused, keeps a negotiation going, and two
 * peers who keep to it agree.
 */

#include "harness.h"

#include "prng.h"
#include "telnet/option.h"

#define OPTION 3

typedef enum Input {
        YES_AND_WE_AGREE, /* WILL received, "if we agree that he should enable" */
        YES_BUT_WE_REFUSE,
        NO,               /* WONT received */
        WE_WANT_IT,       /* "if we decide to ask him to enable" */
} Input;

typedef enum Sent {
        NOTHING,
        SEND_YES, /* DO */
        SEND_NO,  /* DONT */
} Sent;

static const struct {
        TelnetQState state;
        Input input;
        TelnetQState next;
        Sent sent;
        bool changed, refused;
} rfc1143[] = {
        /* Upon receipt of WILL */
        {TELNET_Q_NO, YES_AND_WE_AGREE, TELNET_Q_YES, SEND_YES, .changed = true},
        {TELNET_Q_NO, YES_BUT_WE_REFUSE, TELNET_Q_NO, SEND_NO},
        {TELNET_Q_YES, YES_AND_WE_AGREE, TELNET_Q_YES, NOTHING},
        {TELNET_Q_YES, YES_BUT_WE_REFUSE, TELNET_Q_YES, NOTHING},
        {TELNET_Q_WANTYES, YES_AND_WE_AGREE, TELNET_Q_YES, NOTHING, .changed = true},
        {TELNET_Q_WANTYES, YES_BUT_WE_REFUSE, TELNET_Q_YES, NOTHING, .changed = true},

        /* Upon receipt of WONT */
        {TELNET_Q_NO, NO, TELNET_Q_NO, NOTHING},
        {TELNET_Q_YES, NO, TELNET_Q_NO, SEND_NO, .changed = true},
        {TELNET_Q_WANTYES, NO, TELNET_Q_NO, NOTHING, .refused = true},

        /* If we decide to ask him to enable */
        {TELNET_Q_NO, WE_WANT_IT, TELNET_Q_WANTYES, SEND_YES},
        {TELNET_Q_YES, WE_WANT_IT, TELNET_Q_YES, NOTHING},
        {TELNET_Q_WANTYES, WE_WANT_IT, TELNET_Q_WANTYES, NOTHING},
};

/* What the peer says, and what we say, about the option on @side. */
static uint8_t received(TelnetSide side, bool yes) {
        if (side == TELNET_HIM)
                return yes ? TELNET_WILL : TELNET_WONT;
        return yes ? TELNET_DO : TELNET_DONT;
}

static uint8_t sent(TelnetSide side, Sent s) {
        if (s == NOTHING)
                return 0;
        if (side == TELNET_HIM)
                return s == SEND_YES ? TELNET_DO : TELNET_DONT;
        return s == SEND_YES ? TELNET_WILL : TELNET_WONT;
}

/* Brings the option into @state, by what leads there in life. */
static void reach(TelnetOptions *o, TelnetSide side, TelnetQState state) {
        switch (state) {
        case TELNET_Q_NO:
                break;
        case TELNET_Q_YES:
                telnet_option_receive(o, received(side, true), OPTION, true);
                break;
        case TELNET_Q_WANTYES:
                telnet_option_enable(o, side, OPTION);
                break;
        }

        assert_int_equal(telnet_option_state(o, side, OPTION), state);
}

static TelnetAnswer give(TelnetOptions *o, TelnetSide side, Input input) {
        if (input == WE_WANT_IT)
                return (TelnetAnswer){.command = telnet_option_enable(o, side, OPTION)};

        return telnet_option_receive(o, received(side, input != NO), OPTION, input != YES_BUT_WE_REFUSE);
}

static void assert_rfc1143(TelnetSide side) {
        for (size_t i = 0; i < ELEMENTSOF(rfc1143); i++) {
                TelnetOptions o = {};

                reach(&o, side, rfc1143[i].state);
                TelnetAnswer a = give(&o, side, rfc1143[i].input);

                if (telnet_option_state(&o, side, OPTION) != rfc1143[i].next ||
                    a.command != sent(side, rfc1143[i].sent) || a.changed != rfc1143[i].changed ||
                    a.refused != rfc1143[i].refused)
                        fail_msg("line %zu: state %d, input %d: next %d, sent %d, changed %d, refused %d", i,
                                 rfc1143[i].state, rfc1143[i].input, telnet_option_state(&o, side, OPTION),
                                 a.command, a.changed, a.refused);
        }
}

static void test_his_side_is_rfc_1143_line_for_line(_unused_ void **state) {
        assert_rfc1143(TELNET_HIM);
}

static void test_our_side_is_rfc_1143_line_for_line(_unused_ void **state) {
        assert_rfc1143(TELNET_US);
}

static void test_the_table_covers_every_state_and_input(_unused_ void **state) {
        unsigned seen[3][4] = {};

        for (size_t i = 0; i < ELEMENTSOF(rfc1143); i++)
                seen[rfc1143[i].state][rfc1143[i].input]++;

        for (size_t s = 0; s < 3; s++)
                for (size_t i = 0; i < 4; i++)
                        assert_int_equal(seen[s][i], 1);
}

static bool is_used(unsigned option) {
        return option == TELNET_BINARY || option == TELNET_ECHO || option == TELNET_SGA ||
               option == TELNET_AUTHENTICATION || option == TELNET_COM_PORT || option == TELNET_VMWARE;
}

static void test_an_option_that_is_not_used_is_refused_whatever_is_acceptable(_unused_ void **state) {
        for (unsigned k = 0; k < 256; k++) {
                TelnetOptions o = {};

                if (is_used(k))
                        continue;

                assert_int_equal(telnet_option_receive(&o, TELNET_WILL, (uint8_t) k, true).command, TELNET_DONT);
                assert_int_equal(telnet_option_receive(&o, TELNET_DO, (uint8_t) k, true).command, TELNET_WONT);
                assert_int_equal(telnet_option_receive(&o, TELNET_WONT, (uint8_t) k, true).command, 0);
                assert_int_equal(telnet_option_receive(&o, TELNET_DONT, (uint8_t) k, true).command, 0);
                assert_false(telnet_option_in_use(&o, (uint8_t) k));
        }
}

/* One byte holds both sides, and the bytes of all options lie next to each other. */
static void test_an_input_touches_one_side_of_one_option_only(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(rfc1143); i++)
                for (TelnetQState other = TELNET_Q_NO; other <= TELNET_Q_WANTYES; other++)
                        for (TelnetSide side = TELNET_US; side <= TELNET_HIM; side++) {
                                TelnetSide other_side = side == TELNET_US ? TELNET_HIM : TELNET_US;
                                TelnetOptions o = {};

                                for (unsigned k = 0; k < 256; k++)
                                        if (k != OPTION && is_used(k)) {
                                                telnet_option_enable(&o, TELNET_US, (uint8_t) k);
                                                telnet_option_receive(&o, TELNET_WILL, (uint8_t) k, true);
                                        }
                                reach(&o, side, rfc1143[i].state);
                                reach(&o, other_side, other);
                                give(&o, side, rfc1143[i].input);

                                assert_int_equal(telnet_option_state(&o, other_side, OPTION), other);
                                for (unsigned k = 0; k < 256; k++)
                                        if (k != OPTION) {
                                                assert_int_equal(telnet_option_state(&o, TELNET_US, (uint8_t) k),
                                                                 is_used(k) ? TELNET_Q_WANTYES : TELNET_Q_NO);
                                                assert_int_equal(telnet_option_state(&o, TELNET_HIM, (uint8_t) k),
                                                                 is_used(k) ? TELNET_Q_YES : TELNET_Q_NO);
                                        }
                        }
}

static void test_an_option_is_enabled_only_once_both_have_agreed(_unused_ void **state) {
        for (TelnetQState s = TELNET_Q_NO; s <= TELNET_Q_WANTYES; s++) {
                TelnetOptions o = {};

                reach(&o, TELNET_HIM, s);
                assert_int_equal(telnet_option_enabled(&o, TELNET_HIM, OPTION), s == TELNET_Q_YES);
        }
}

/* A peer that says the same thing again and again is answered once, unless it insists on what we refuse. */
static void test_repetition_is_answered_once_at_most(_unused_ void **state) {
        for (TelnetQState s = TELNET_Q_NO; s <= TELNET_Q_WANTYES; s++)
                for (Input input = YES_AND_WE_AGREE; input <= NO; input++) {
                        TelnetOptions o = {};
                        unsigned replies = 0;

                        if (input == YES_BUT_WE_REFUSE)
                                continue;

                        reach(&o, TELNET_US, s);
                        for (unsigned i = 0; i < 100; i++)
                                replies += give(&o, TELNET_US, input).command != 0;
                        assert_in_range(replies, 0, 1);
                }
}

static void test_a_refusal_stays_one(_unused_ void **state) {
        TelnetOptions o = {};

        assert_int_equal(telnet_option_enable(&o, TELNET_US, OPTION), TELNET_WILL);
        assert_true(telnet_option_receive(&o, TELNET_DONT, OPTION, true).refused);

        for (unsigned i = 0; i < 10; i++) {
                TelnetAnswer a = telnet_option_receive(&o, TELNET_DONT, OPTION, true);

                assert_int_equal(a.command, 0);
                assert_false(a.changed);
                assert_false(a.refused);
        }
        assert_false(telnet_option_enabled(&o, TELNET_US, OPTION));
}

/* Whatever it sends, a peer cannot turn on what we neither asked for nor agree to. */
static void test_a_hostile_peer_cannot_enable_what_we_refuse(_unused_ void **state) {
        Prng random = prng_init();
        TelnetOptions o = {};

        for (unsigned i = 0; i < 100000; i++) {
                uint8_t command = (uint8_t) (TELNET_WILL + prng_below(&random, 4));
                uint8_t option = (uint8_t) prng_next(&random);
                TelnetAnswer a = telnet_option_receive(&o, command, option, false);

                assert_true(a.command == 0 || a.command == TELNET_WONT || a.command == TELNET_DONT);
                assert_false(a.changed);
                assert_false(telnet_option_enabled(&o, TELNET_US, option));
                assert_false(telnet_option_enabled(&o, TELNET_HIM, option));
        }
}

static unsigned count_echoes(TelnetQState us, TelnetQState him, unsigned agreed, uint8_t said) {
        TelnetOptions o = {};
        unsigned n = 0;

        reach(&o, TELNET_US, us);
        reach(&o, TELNET_HIM, him);
        for (; said != 0 && n < 100; n++) {
                bool agree = agreed >> telnet_command_side(said) & 1;

                said = telnet_option_receive(&o, said, OPTION, agree).command;
        }

        return n;
}

/* A loop-back plug, or a host that reflects what it does not know: our own words come back as the peer's. */
static void test_an_echo_of_our_own_words_dies_away(_unused_ void **state) {
        for (TelnetQState us = TELNET_Q_NO; us <= TELNET_Q_WANTYES; us++)
                for (TelnetQState him = TELNET_Q_NO; him <= TELNET_Q_WANTYES; him++)
                        for (unsigned agreed = 0; agreed < 4; agreed++) /* a bit for each side */
                                for (uint8_t first = TELNET_WILL; first <= TELNET_DONT; first++)
                                        assert_in_range(count_echoes(us, him, agreed, first), 0, 6);
}

typedef struct End {
        TelnetOptions options;
        bool agrees[2]; /* TelnetSide */
        uint8_t inbox[64];
        size_t begin, end;
} End;

static unsigned say(End *to, uint8_t command) {
        if (command == 0)
                return 0;

        assert_true(to->end < sizeof to->inbox);
        to->inbox[to->end++] = command;
        return 1;
}

/* Lets one end read one message. Returns: how many it sent. */
static unsigned hear(End *from, End *to) {
        uint8_t command = from->inbox[from->begin++];

        return say(to, telnet_option_receive(&from->options, command, OPTION,
                                             from->agrees[telnet_command_side(command)]).command);
}

/* Two of our own ends that ask for an option at any time: each wish costs at most two messages, and in the
 * end they agree on what is on. */
static void test_two_ends_always_settle_and_agree(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned round = 0; round < 20000; round++) {
                End ends[2] = {};
                unsigned n_wishes = 0, n_messages = 0;
                size_t wishes = prng_below(&random, 12);

                for (size_t i = 0; i < 4; i++)
                        ends[i / 2].agrees[i % 2] = prng_next(&random) & 1;

                while (n_wishes < wishes || ends[0].begin < ends[0].end || ends[1].begin < ends[1].end) {
                        End *a = &ends[prng_next(&random) & 1], *b = a == ends ? ends + 1 : ends;

                        if (n_wishes < wishes && prng_next(&random) & 1) {
                                TelnetSide side = prng_next(&random) & 1 ? TELNET_US : TELNET_HIM;

                                n_wishes++;
                                n_messages += say(b, telnet_option_enable(&a->options, side, OPTION));
                        } else if (a->begin < a->end)
                                n_messages += hear(a, b);
                }

                assert_in_range(n_messages, 0, 2 * n_wishes);
                for (size_t i = 0; i < 2; i++) {
                        TelnetQState us = telnet_option_state(&ends[i].options, TELNET_US, OPTION);

                        assert_true(us == TELNET_Q_YES || us == TELNET_Q_NO);
                        assert_int_equal(us, telnet_option_state(&ends[1 - i].options, TELNET_HIM, OPTION));
                }
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_his_side_is_rfc_1143_line_for_line),
                cmocka_unit_test(test_our_side_is_rfc_1143_line_for_line),
                cmocka_unit_test(test_the_table_covers_every_state_and_input),
                cmocka_unit_test(test_an_option_that_is_not_used_is_refused_whatever_is_acceptable),
                cmocka_unit_test(test_an_input_touches_one_side_of_one_option_only),
                cmocka_unit_test(test_an_option_is_enabled_only_once_both_have_agreed),
                cmocka_unit_test(test_repetition_is_answered_once_at_most),
                cmocka_unit_test(test_a_refusal_stays_one),
                cmocka_unit_test(test_a_hostile_peer_cannot_enable_what_we_refuse),
                cmocka_unit_test(test_an_echo_of_our_own_words_dies_away),
                cmocka_unit_test(test_two_ends_always_settle_and_agree),
        };

        return cmocka_run_group_tests_name("option", tests, NULL, NULL);
}
