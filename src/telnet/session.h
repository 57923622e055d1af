/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "option.h"

/*
 * TelnetSession: one end of a telnet connection: both directions of the codec, the options, and how the one
 * follows from the other. A plain record without pointers.
 */
typedef struct TelnetSession {
        TelnetDecoder in;
        TelnetEncoder out;
        TelnetOptions options;
} TelnetSession;

/* What an end is willing to do; lists end with TELNET_OPTION_END. The first n_offered of each are asked for
 * when the connection begins, the others only if the peer begins. */
#define TELNET_OPTION_END (-1)

typedef struct TelnetPolicy {
        const int16_t *us, *him;
        size_t n_us_offered, n_him_offered;
} TelnetPolicy;

void telnet_session_init(TelnetSession *s, TelnetLineEnd line_end);

/* Appends a command: IAC, then the @n bytes of @command. Every command goes through here or
 * telnet_session_settle(), so that none ends up within a sequence of data. */
int telnet_session_put(TelnetSession *s, Buffer *out, const uint8_t *command, size_t n);
int telnet_session_settle(TelnetSession *s, Buffer *out);

/* Appends what is to be said first. */
int telnet_session_offer(TelnetSession *s, const TelnetPolicy *policy, Buffer *out);

/* As if all that @policy would offer had been offered and agreed to, and 8 bits both ways if BINARY is among it:
 * for two ends that know each other. */
void telnet_session_assume(TelnetSession *s, const TelnetPolicy *policy);

/* Takes in a TELNET_EVENT_NEGOTIATION, appends the answer, and switches either direction between NVT and
 * BINARY as RFC 856 has it. Returns: 0 or a negative errno (see buffer_append()). */
int telnet_session_negotiate(TelnetSession *s, const TelnetPolicy *policy, const TelnetEvent *event, Buffer *out,
                             TelnetAnswer *ret_answer);

/* Whether @option is in the list. */
bool telnet_policy_accepts(const TelnetPolicy *policy, TelnetSide side, uint8_t option);
