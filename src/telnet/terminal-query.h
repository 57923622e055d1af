/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Finds queries in a VM's output, that is, sequences that a terminal answers: the cursor's position (DSR), the
 * kind of terminal (DA, DECID, ENQ, XTVERSION, XTGETTCAP), its size and titles (window reports), its modes
 * (DECRQM, DECRQSS, the kitty keyboard protocol), colours, clipboard and titles (OSC with a parameter "?").
 * Sources: ECMA-48, DEC's manuals, xterm's ctlseqs. Control characters within a sequence are skipped, as
 * terminals do.
 *
 * Pure functions. memchr() finds where a sequence may begin; only the sequence is read byte by byte.
 */

/* Longer queries are not recognized. */
#define TERMINAL_QUERY_MAX 4096U

typedef enum TerminalSequenceType {
        TERMINAL_OTHER, /* no query, or no sequence at all */
        TERMINAL_QUERY, /* size: its length */
        TERMINAL_CUT,   /* not complete where another sequence begins; size: the offset of that */
        TERMINAL_OPEN,  /* not complete where the bytes end */
} TerminalSequenceType;

typedef struct TerminalSequence {
        TerminalSequenceType type;
        size_t size;
} TerminalSequence;

/* Returns: the offset of the next byte with which a query can begin, @n if there is none. */
size_t terminal_find_introducer(const uint8_t *p, size_t n);

/* Reads the sequence at @p, which terminal_find_introducer() has found. The caller makes sure that a byte for
 * which terminal_is_eight_bit() holds is not part of a UTF-8 character. */
TerminalSequence terminal_parse(const uint8_t *p, size_t n);

/* Control characters in one byte (C1), which are also continuation bytes of UTF-8 characters */
static inline bool terminal_is_eight_bit(uint8_t byte) {
        return byte >= 0x80 && byte <= 0x9f;
}
