/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "option.h"

/*
 * Tells a telnet client from a raw one by what it sends. A raw client's bytes may contain anything, IAC and
 * what looks like a command included, so one command among data proves nothing. Telnet is what
 *  - begins with commands, of which one answers an offer of ours that is still open, or
 *  - consists of nothing but commands, from the first byte of a read to the last.
 * Who has sent data already may be in the middle of a gigabyte of it, of which some read will begin like an
 * answer. Then two are wanted, or one and the beginning of another command with which the read ends (a telnet program
 * has all our offers at once, and answers them all); and nothing but commands has to be short.
 */
typedef enum TelnetRecognition {
        TELNET_NOT_RECOGNIZED,
        TELNET_MAYBE, /* a beginning: the next bytes will tell */
        TELNET_RECOGNIZED,
} TelnetRecognition;

/* @p: what has been read, @n bytes, at least one; @o: what we have offered; @after_data: data came before it. */
TelnetRecognition telnet_recognize(const TelnetOptions *o, bool after_data, const uint8_t *p, size_t n);

/* Whether an answer to an offer that is still open is anywhere in it: what was typed ahead may come before. For
 * a client that has only just been made the offer; in what a raw one sends later it would be chance. */
bool telnet_contains_answer(const TelnetOptions *o, const uint8_t *p, size_t n);
