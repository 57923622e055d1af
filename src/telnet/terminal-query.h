/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Finds queries in a VM's output: sequences that a terminal answers. They ask for the cursor's position (DSR), the
 * terminal's type (DA, DECID, ENQ, XTVERSION, XTGETTCAP), its size and title (window reports), its modes (DECRQM,
 * DECRQSS, the kitty keyboard protocol), and colors, clipboard and titles (OSC with a parameter "?"). Sources:
 * ECMA-48, DEC's manuals, xterm's ctlseqs. Control characters in a sequence are skipped, as in terminals.
 *
 * Pure functions. memchr() finds where a sequence may begin; only the sequence itself is read byte by byte.
 */

/* Longer queries are not recognized. */
#define TERMINAL_QUERY_MAX 4096U

typedef enum TerminalSequenceType {
        TERMINAL_OTHER, /* another sequence, or no sequence */
        TERMINAL_QUERY, /* size: its length */
        TERMINAL_CUT,   /* incomplete, interrupted by another sequence; size: the offset of that one */
        TERMINAL_OPEN,  /* incomplete at the end of the bytes */
} TerminalSequenceType;

typedef struct TerminalSequence {
        TerminalSequenceType type;
        size_t size;
} TerminalSequence;

/* Returns: the offset of the next byte that can begin a query, or @n if there is none. */
size_t terminal_find_introducer(const uint8_t *p, size_t n);

/* Parses the sequence at @p, which terminal_find_introducer() has found. If terminal_is_eight_bit() is true for
 * the first byte, the caller must make sure that it is not part of a UTF-8 character. */
TerminalSequence terminal_parse(const uint8_t *p, size_t n);

/* Returns: whether @byte is a C1 control character. These bytes also occur in UTF-8 characters, as continuation
 * bytes. */
static inline bool terminal_is_eight_bit(uint8_t byte) {
        return byte >= 0x80 && byte <= 0x9f;
}
