/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "option.h"

/*
 * TelnetSession: one end of a telnet connection: the codec in both directions, the options, and the effect of the
 * options on the codec. A plain record without pointers.
 */
typedef struct TelnetSession {
        TelnetDecoder in;
        TelnetEncoder out;
        TelnetOptions options;
} TelnetSession;

/* The options that an end accepts; the lists end with TELNET_OPTION_END. The first n_us_offered or n_him_offered
 * of each list are offered when the connection begins, the others are only accepted from the peer. */
#define TELNET_OPTION_END (-1)

typedef struct TelnetPolicy {
        const int16_t *us, *him;
        size_t n_us_offered, n_him_offered;
} TelnetPolicy;

void telnet_session_init(TelnetSession *s, TelnetLineEnd line_end);

/* Appends a command: IAC, then the @n bytes of @command. Every command must be appended by this function or after
 * telnet_session_complete(), which completes a sequence of data, so that no command ends up inside of one. */
int telnet_session_put(TelnetSession *s, Buffer *out, const uint8_t *command, size_t n);
int telnet_session_complete(TelnetSession *s, Buffer *out);

/* Appends the offers at the beginning of a connection. */
int telnet_session_offer(TelnetSession *s, const TelnetPolicy *policy, Buffer *out);

/* Enables all options that @policy would offer, as if they had been negotiated, and 8 bits in both directions if
 * BINARY is among them: for two ends that know each other. */
void telnet_session_assume(TelnetSession *s, const TelnetPolicy *policy);

/* Handles a TELNET_EVENT_NEGOTIATION, appends the answer, and switches each direction between NVT and BINARY (RFC 856).
 * Returns: 0 or a negative errno (see buffer_append()). */
int telnet_session_negotiate(TelnetSession *s, const TelnetPolicy *policy, const TelnetEvent *event, Buffer *out,
                             TelnetAnswer *ret_answer);

/* Returns: whether @option is in the list for @side. */
bool telnet_policy_accepts(const TelnetPolicy *policy, TelnetSide side, uint8_t option);
