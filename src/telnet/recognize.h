/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"
#include "session.h"

/*
 * Distinguishes telnet clients from raw clients by what they send. The data of a raw client may contain any bytes,
 * also IAC and bytes that look like a command, so a single command in the data proves little. A read is recognized as
 * telnet if it
 *  - begins with commands, one of which answers an offer of ours that is still open,
 *  - is short and contains such an answer: text that was typed ahead comes before the answers,
 *  - consists of commands only.
 *
 * A client that has already sent data may be sending a gigabyte of it, and some read would look like telnet by
 * chance. So the conditions are stricter for its reads:
 *  - two answers are needed, one directly after the other or both among the commands at the beginning of the read (a
 *    telnet program gets all our offers at once and answers all of them),
 *  - a read that consists of commands only, the last of which may be incomplete, needs one answer,
 *  - commands without an answer must be short and complete, and come after silence.
 *
 * A break is no sign of telnet: gdb and agent-proxy are raw clients that interrupt a kernel with IAC BRK followed by
 * "g". But these two bytes also occur once in 64 KiB of random data. So IAC BRK is a break only if it is the first
 * thing that a client sends or comes after silence, and if the read contains nothing else but "g" and what gdb sends
 * when it connects ("set remote interrupt-on-connect on"). Silence means that we were ready to read for
 * TELNET_SILENCE_USEC and nothing came. A single IAC at the end is held back until its second byte or silence comes.
 */
typedef enum TelnetRecognition {
        TELNET_NOT_RECOGNIZED,
        TELNET_MAYBE, /* incomplete: depends on the next bytes */
        TELNET_RECOGNIZED,
        TELNET_BREAK, /* one or more IAC BRK are breaks, the rest of the read is data; may be telnet or raw */
} TelnetRecognition;

typedef enum TelnetReadFlags {
        TELNET_READ_LATE = 1 << 0, /* it has sent data, or was silent for so long that it is probably not telnet */
        TELNET_READ_CUT = 1 << 1,  /* the read filled the buffer, so there may be more data */
        TELNET_READ_AFTER_SILENCE = 1 << 2,
} TelnetReadFlags;

/* The state between two reads of a client that has not been recognized as telnet. Together with the bytes that
 * were kept from the last reads, it determines the meaning of the next read; no clock is needed. A plain record
 * without pointers. */
typedef struct TelnetReading {
        bool late;              /* see TELNET_READ_LATE */
        bool cut;               /* the last read filled its buffer: the next one continues it */
        bool after_silence;     /* the kept bytes, or the next bytes if none are kept, come after silence */
        bool begins_with_break; /* the kept bytes are a TELNET_BREAK */
        bool begun;             /* the first bytes have been compared with our own offers */
        bool joined;            /* they were our own offers: the client is the port of another VM, and stays raw */
        bool awaits_binary;     /* it speaks telnet, and has not answered our WILL BINARY */
} TelnetReading;

#define TELNET_SILENCE_USEC (50 * USEC_PER_MSEC)

/* The longest read that consists of breaks and "g" only */
#define TELNET_BREAK_MAX 8U

/* The maximum of text before the answers to our offers in the same read, typed ahead or sent by a script */
#define TELNET_TYPED_AHEAD_MAX 256U

/* Checks whether a client's first bytes @p are the offers of @policy as sent by telnet_session_offer(). Then the
 * "client" is the port of another VM, connected to this port by a program such as socat. *ret_size: the number of
 * bytes of the offers. */
TelnetRecognition telnet_recognize_offers(const TelnetPolicy *policy, const uint8_t *p, size_t n, size_t *ret_size);

/* @p, @n: what has been read, at least one byte, not in the middle of a sequence. @o: has our offers. */
TelnetRecognition telnet_recognize(const TelnetOptions *o, TelnetReadFlags flags, const uint8_t *p, size_t n);

/* Returns: the number of bytes of the IAC BRK at the beginning of @p. */
size_t telnet_breaks_length(const uint8_t *p, size_t n);
