/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "codec.h"

/*
 * Telnet option negotiation by the Q method (RFC 1143): whatever the peer says in whatever order, no option
 * is ever negotiated in a loop, and a refusal stays one.
 */

typedef enum TelnetSide {
        TELNET_US,  /* we WILL, the peer says DO */
        TELNET_HIM, /* the peer WILL, we say DO */
} TelnetSide;

/* RFC 1143's states of an option on one side. WANTYES and WANTNO with OPPOSITE: the queue bit is set. */
typedef enum TelnetQState {
        TELNET_Q_NO,
        TELNET_Q_YES,
        TELNET_Q_WANTNO,
        TELNET_Q_WANTNO_OPPOSITE,
        TELNET_Q_WANTYES,
        TELNET_Q_WANTYES_OPPOSITE,
} TelnetQState;

/* One byte an option: our side in the low four bits, his in the high. All zero: everything off. */
typedef struct TelnetOptions {
        uint8_t state[256];
} TelnetOptions;

/* The answer to a negotiation. */
typedef struct TelnetAnswer {
        uint8_t command; /* WILL, WONT, DO, DONT to send, or 0 */
        bool changed;    /* the option has just been enabled or disabled */
        bool refused;    /* the peer has declined what we asked for */
} TelnetAnswer;

/* Both return the command to send (WILL/DO, WONT/DONT) or 0 if nothing is to be sent (now). */
uint8_t telnet_option_enable(TelnetOptions *o, TelnetSide side, uint8_t option);
uint8_t telnet_option_disable(TelnetOptions *o, TelnetSide side, uint8_t option);

/* Takes in @command (WILL, WONT, DO, DONT) for @option. @acceptable: whether we agree if he asks for it. */
TelnetAnswer telnet_option_receive(TelnetOptions *o, uint8_t command, uint8_t option, bool acceptable);

TelnetQState telnet_option_state(const TelnetOptions *o, TelnetSide side, uint8_t option);

static inline bool telnet_option_enabled(const TelnetOptions *o, TelnetSide side, uint8_t option) {
        return telnet_option_state(o, side, option) == TELNET_Q_YES;
}

/* Whether either side has @option. */
static inline bool telnet_option_in_use(const TelnetOptions *o, uint8_t option) {
        return telnet_option_enabled(o, TELNET_US, option) || telnet_option_enabled(o, TELNET_HIM, option);
}

/* Which side's option a received command is about. */
static inline TelnetSide telnet_command_side(uint8_t command) {
        return command == TELNET_WILL || command == TELNET_WONT ? TELNET_HIM : TELNET_US;
}
