/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "option.h"

/* Returns: the index of the option's state, or -1 if it is not in codec.h. */
static int option_index(uint8_t option) {
        switch (option) {
        case TELNET_BINARY:         return 0;
        case TELNET_ECHO:           return 1;
        case TELNET_SGA:            return 2;
        case TELNET_AUTHENTICATION: return 3;
        case TELNET_COM_PORT:       return 4;
        case TELNET_VMWARE:         return 5;
        default:                    return -1;
        }
}

static unsigned side_shift(TelnetSide side) {
        return side == TELNET_HIM ? 4 : 0;
}

TelnetQState telnet_option_state(const TelnetOptions *o, TelnetSide side, uint8_t option) {
        int i = option_index(option);

        return i < 0 ? TELNET_Q_NO : o->state[i] >> side_shift(side) & 0xf;
}

static void set_state(TelnetOptions *o, TelnetSide side, uint8_t option, TelnetQState state) {
        unsigned shift = side_shift(side);
        int i = option_index(option);

        assert(i >= 0);
        o->state[i] = (uint8_t) ((o->state[i] & ~(0xfU << shift)) | (unsigned) state << shift);
}

static uint8_t positive(TelnetSide side) {
        return side == TELNET_HIM ? TELNET_DO : TELNET_WILL;
}

static uint8_t negative(TelnetSide side) {
        return side == TELNET_HIM ? TELNET_DONT : TELNET_WONT;
}

uint8_t telnet_option_enable(TelnetOptions *o, TelnetSide side, uint8_t option) {
        switch (telnet_option_state(o, side, option)) {

        case TELNET_Q_NO:
                set_state(o, side, option, TELNET_Q_WANTYES);
                return positive(side);

        case TELNET_Q_WANTNO:
                set_state(o, side, option, TELNET_Q_WANTNO_OPPOSITE);
                return 0;

        case TELNET_Q_WANTYES_OPPOSITE:
                set_state(o, side, option, TELNET_Q_WANTYES);
                return 0;

        default: /* on, or on its way */
                return 0;
        }
}

uint8_t telnet_option_disable(TelnetOptions *o, TelnetSide side, uint8_t option) {
        switch (telnet_option_state(o, side, option)) {

        case TELNET_Q_YES:
                set_state(o, side, option, TELNET_Q_WANTNO);
                return negative(side);

        case TELNET_Q_WANTYES:
                set_state(o, side, option, TELNET_Q_WANTYES_OPPOSITE);
                return 0;

        case TELNET_Q_WANTNO_OPPOSITE:
                set_state(o, side, option, TELNET_Q_WANTNO);
                return 0;

        default: /* off, or on its way */
                return 0;
        }
}

TelnetAnswer telnet_option_receive(TelnetOptions *o, uint8_t command, uint8_t option, bool acceptable) {
        /* RFC 1143, section 7: the next state after the peer's yes (WILL or DO) or no (WONT or DONT). A no in state
         * WANTNO_OPPOSITE, and a yes in WANTYES_OPPOSITE, make us request the opposite at once. */
        static const struct {
                uint8_t next;
                int8_t reply; /* +1: WILL/DO, -1: WONT/DONT */
        } table[][2] = {
                /* the peer says:               no                          yes */
                [TELNET_Q_NO] =               {{TELNET_Q_NO, 0},            {TELNET_Q_YES, +1}},
                [TELNET_Q_YES] =              {{TELNET_Q_NO, -1},           {TELNET_Q_YES, 0}},
                [TELNET_Q_WANTNO] =           {{TELNET_Q_NO, 0},            {TELNET_Q_NO, 0}},
                [TELNET_Q_WANTNO_OPPOSITE] =  {{TELNET_Q_WANTYES, +1},      {TELNET_Q_YES, 0}},
                [TELNET_Q_WANTYES] =          {{TELNET_Q_NO, 0},            {TELNET_Q_YES, 0}},
                [TELNET_Q_WANTYES_OPPOSITE] = {{TELNET_Q_NO, 0},            {TELNET_Q_WANTNO, -1}},
        };
        TelnetSide side = telnet_command_side(command);
        bool yes = command == TELNET_WILL || command == TELNET_DO;
        TelnetQState state = telnet_option_state(o, side, option), next = table[state][yes].next;

        if (option_index(option) < 0)
                return (TelnetAnswer){.command = yes ? negative(side) : 0};
        if (state == TELNET_Q_NO && yes && !acceptable)
                return (TelnetAnswer){.command = negative(side)};

        set_state(o, side, option, next);

        int reply = table[state][yes].reply;
        return (TelnetAnswer){
                .command = reply > 0 ? positive(side) : reply < 0 ? negative(side) : 0,
                .changed = (state == TELNET_Q_YES) != (next == TELNET_Q_YES),
                .refused = state == TELNET_Q_WANTYES && next == TELNET_Q_NO,
        };
}
