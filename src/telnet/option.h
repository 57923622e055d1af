/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "codec.h"

/*
 * Telnet option negotiation with the Q method (RFC 1143). It never negotiates an option in a loop, whatever the peer sends.
 * We never disable an option, so the RFC's states WANTNO and its queue are not needed.
 */

typedef enum TelnetSide {
        TELNET_US,  /* we WILL, the peer says DO */
        TELNET_HIM, /* the peer WILL, we say DO */
} TelnetSide;

/* RFC 1143's states of an option on one side */
typedef enum TelnetQState {
        TELNET_Q_NO,
        TELNET_Q_YES,
        TELNET_Q_WANTYES,
} TelnetQState;

/* One byte for each option in codec.h: our side in the low four bits, the peer's in the high ones. All zero: all options are
 * off. Every other option is always off, and is refused. */
typedef struct TelnetOptions {
        uint8_t state[6];
} TelnetOptions;

/* The answer to a negotiation. */
typedef struct TelnetAnswer {
        uint8_t command; /* WILL, WONT, DO, DONT to send, or 0 */
        bool changed;    /* the option has just been enabled or disabled */
        bool refused;    /* the peer has declined our request */
} TelnetAnswer;

/* Returns: the command to send (WILL or DO), or 0 if the option is on or has been requested. */
uint8_t telnet_option_enable(TelnetOptions *o, TelnetSide side, uint8_t option);

/* Handles a received @command (WILL, WONT, DO, DONT) for @option. @acceptable: whether we agree if the peer
 * requests it. */
TelnetAnswer telnet_option_receive(TelnetOptions *o, uint8_t command, uint8_t option, bool acceptable);

TelnetQState telnet_option_state(const TelnetOptions *o, TelnetSide side, uint8_t option);

static inline bool telnet_option_enabled(const TelnetOptions *o, TelnetSide side, uint8_t option) {
        return telnet_option_state(o, side, option) == TELNET_Q_YES;
}

/* Returns: whether @option is enabled on either side. */
static inline bool telnet_option_in_use(const TelnetOptions *o, uint8_t option) {
        return telnet_option_enabled(o, TELNET_US, option) || telnet_option_enabled(o, TELNET_HIM, option);
}

/* Returns: the side whose option a received command is about. */
static inline TelnetSide telnet_command_side(uint8_t command) {
        return command == TELNET_WILL || command == TELNET_WONT ? TELNET_HIM : TELNET_US;
}
