/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "session.h"

/*
 * TelnetKeyboard: turns what a telnet program sends into what a terminal would send. Some programs send commands for ^C
 * and other keys, and what they send for Enter depends on the program and its mode:
 *
 *  - A client in line mode, which has declined our SGA or our ECHO, ends lines with LF or CR LF, with BINARY and
 *    without.
 *  - Windows' telnet agrees to BINARY, but sends CR LF for Enter nevertheless. With BINARY, CR LF could also be data.
 *    So it is taken for Enter only while everything from this client looks like Windows' telnet: each CR LF came in a
 *    read of its own, and there was no NUL, no other CR or LF, and no other read of two bytes (as in an upload in
 *    writes of two bytes).
 *
 * A client that uses COM-PORT (RFC 2217) has a serial port and no keyboard: its data is not changed.
 *
 * A plain record without pointers. If all zero, the client has sent nothing yet.
 */
typedef struct TelnetKeyboard {
        bool exact;          /* the client sends exactly what a terminal sends: nothing is translated */
        bool after_cr;       /* in line mode with BINARY: the last byte was CR, and a following LF belongs to it */
        bool is_not_windows; /* the client has sent something that Windows' telnet does not */
} TelnetKeyboard;

/* Returns: the byte that a terminal sends for the key of the telnet command @command; 0 if there is no such key. */
uint8_t telnet_key(uint8_t command);

/* Must be called with each whole read before it is decoded. Returns: whether the read is the Enter key of Windows'
 * telnet: then the VM gets CR. */
bool telnet_keyboard_is_enter(TelnetKeyboard *k, const TelnetSession *s, const uint8_t *p, size_t n);

/* Translates the data of a TELNET_EVENT_DATA in place. Returns: the number of bytes that remain. */
size_t telnet_keyboard_translate(TelnetKeyboard *k, const TelnetSession *s, uint8_t *p, size_t n);
