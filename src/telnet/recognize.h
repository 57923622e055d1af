/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"
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
 * incomplete; and commands that answer nothing have to be short and whole, and to come after silence.
 *
 * A break is no sign of telnet. gdb and agent-proxy are raw clients: they interrupt a kernel by IAC BRK and then "g",
 * and go on as before. But these two bytes occur once in 64 KiB of random data, and there they are data. So IAC BRK
 * is a break only as the first thing that a client sends, or after silence, and only if nothing else is in the read
 * but "g" and what gdb says when it connects ("set remote interrupt-on-connect on"). Silence is TELNET_SILENCE_USEC
 * in which the connection was watched and nothing came; time in which we did not read does not count. An IAC alone
 * waits for its second byte until there has been silence.
 */
typedef enum TelnetRecognition {
        TELNET_NOT_RECOGNIZED,
        TELNET_MAYBE, /* a beginning: the next bytes will tell */
        TELNET_RECOGNIZED,
        TELNET_BREAK, /* one or more IAC BRK are breaks, the rest of the read is data; the client may still be either */
} TelnetRecognition;

typedef enum TelnetReadFlags {
        TELNET_READ_LATE = 1 << 0, /* it has sent data, or nothing for so long that it will hardly speak telnet */
        TELNET_READ_CUT = 1 << 1,  /* there may be more of it than was read */
        TELNET_READ_AFTER_SILENCE = 1 << 2,
} TelnetReadFlags;

/* The state between two reads of a client that has not spoken telnet. This record and the bytes that were kept from the
 * last reads decide what the next read means; no clock is needed for it. A plain record without pointers. */
typedef struct TelnetReading {
        bool late;              /* the client has sent data, or nothing for so long that it will hardly speak telnet */
        bool cut;               /* the last read filled its buffer: the next one continues it */
        bool after_silence;     /* the kept bytes, or else the next ones, come after silence */
        bool begins_with_break; /* the kept bytes are a TELNET_BREAK */
} TelnetReading;

#define TELNET_SILENCE_USEC (50 * USEC_PER_MSEC)

/* The longest read that is nothing but breaks and "g" */
#define TELNET_BREAK_MAX 8U

/* What may be typed, or sent by a script, ahead of the answers to our offers and in one read with them */
#define TELNET_TYPED_AHEAD_MAX 256U

/* Whether a client's first bytes @p are the offers of @policy, as telnet_session_offer() sends them. Then the
 * "client" is the port of another VM: something like socat joins the two ports. *ret_size: bytes of the offers. */
TelnetRecognition telnet_recognize_offers(const TelnetPolicy *policy, const uint8_t *p, size_t n, size_t *ret_size);

/* @p: what has been read, @n bytes, at least one, and not in the middle of something; @o: what we have offered. */
TelnetRecognition telnet_recognize(const TelnetOptions *o, TelnetReadFlags flags, const uint8_t *p, size_t n);

/* Returns: the number of bytes of the IAC BRK at the beginning of @p. */
size_t telnet_breaks_length(const uint8_t *p, size_t n);
