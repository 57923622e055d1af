/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "session.h"

/*
 * TelnetKeyboard: turns what a telnet program sends into what a terminal would send. Some programs send commands for ^C
 * and other keys, and what they send for Enter depends on the program and its mode:
 *
 *  - A client in line mode, which has declined our SGA or our ECHO, ends lines with LF or CR LF, with BINARY and
 *    without.
 *  - Windows' telnet agrees to BINARY and sends CR LF all the same. With BINARY bytes are data, so this is taken for
 *    Enter only as long as all that the client sends looks like that program: every CR came with an LF and the two alone
 *    in a read, there was no NUL, no other CR or LF, and no other read of two bytes (an upload in writes of two bytes).
 *
 * A client that uses COM-PORT (RFC 2217) has a serial port and no keyboard: its data is left alone.
 *
 * A plain record without pointers. All zero: the client has sent nothing yet.
 */
typedef struct TelnetKeyboard {
        bool exact;          /* the client sends what a terminal sends: nothing is translated */
        bool after_cr;       /* in line mode with BINARY: an LF that comes next belongs to this CR */
        bool is_not_windows; /* the client has sent something that Windows' telnet does not */
} TelnetKeyboard;

/* Returns: the byte that a terminal sends for the key that @command stands for; 0 if @command is not a key. */
uint8_t telnet_key(uint8_t command);

/* To be called with each whole read before it is decoded. Returns: whether the read is Windows' Enter, CR LF for CR. */
bool telnet_keyboard_is_enter(TelnetKeyboard *k, const TelnetSession *s, const uint8_t *p, size_t n);

/* Translates the data of a TELNET_EVENT_DATA, in place. Returns: how many bytes are left of it. */
size_t telnet_keyboard_translate(TelnetKeyboard *k, const TelnetSession *s, uint8_t *p, size_t n);
