/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "session.h"

/*
 * Tells a telnet client from a raw one by what it sends. A raw client's bytes may contain anything, IAC and
 * what looks like a command included, so one command among data proves little. Telnet is
 *  - what begins with commands, of which one answers an offer of ours that is still open,
 *  - something short with such an answer in it: what was typed ahead comes before the answers,
 *  - nothing but commands, from the first byte of a read to the last.
 *
 * Who has sent data already may be in the middle of a gigabyte of it, of which some read will look like that by chance.
 * Then two answers are wanted, one right after the other if anything else comes first (a telnet program has all our
 * offers at once, and answers them all); one is enough where all of the read is commands, the last of which may be
 * incomplete; and commands that answer nothing have to be short and whole. Such as IAC BRK alone: who sends just
 * these two bytes means a break.
 */
typedef enum TelnetRecognition {
        TELNET_NOT_RECOGNIZED,
        TELNET_MAYBE, /* a beginning: the next bytes will tell */
        TELNET_RECOGNIZED,
} TelnetRecognition;

typedef enum TelnetReadFlags {
        TELNET_READ_LATE = 1 << 0, /* it has sent data, or nothing for so long that it will hardly speak telnet */
        TELNET_READ_CUT = 1 << 1,  /* there may be more of it than was read */
} TelnetReadFlags;

/* What may be typed, or sent by a script, ahead of the answers to our offers and in one read with them */
#define TELNET_TYPED_AHEAD_MAX 256U

/* Whether a client's first bytes @p are the offers of @policy, as telnet_session_offer() sends them. Then the
 * "client" is the port of another VM: something like socat joins the two ports. *ret_size: bytes of the offers. */
TelnetRecognition telnet_recognize_offers(const TelnetPolicy *policy, const uint8_t *p, size_t n, size_t *ret_size);

/* @p: what has been read, @n bytes, at least one, and not in the middle of something; @o: what we have offered. */
TelnetRecognition telnet_recognize(const TelnetOptions *o, TelnetReadFlags flags, const uint8_t *p, size_t n);
