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
        if (telnet_option_state(o, side, option) != TELNET_Q_NO)
                return 0;

        set_state(o, side, option, TELNET_Q_WANTYES);
        return positive(side);
}

TelnetAnswer telnet_option_receive(TelnetOptions *o, uint8_t command, uint8_t option, bool acceptable) {
        TelnetSide side = telnet_command_side(command);
        TelnetQState state = telnet_option_state(o, side, option);
        bool yes = command == TELNET_WILL || command == TELNET_DO;

        if (state == TELNET_Q_NO && !yes)
                return (TelnetAnswer){};
        if (state == TELNET_Q_NO && (!acceptable || option_index(option) < 0))
                return (TelnetAnswer){.command = negative(side)};

        set_state(o, side, option, yes ? TELNET_Q_YES : TELNET_Q_NO);
        return (TelnetAnswer){
                .command = state == TELNET_Q_NO ? positive(side) : state == TELNET_Q_YES && !yes ? negative(side) : 0,
                .changed = yes != (state == TELNET_Q_YES),
                .refused = state == TELNET_Q_WANTYES && !yes,
        };
}
