/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Finds what a terminal answers in a VM's output: where the cursor is (DSR), what kind of terminal it is (DA, DECID,
 * ENQ, XTVERSION, XTGETTCAP), its size and titles (window reports), its modes (DECRQM, DECRQSS, the kitty keyboard
 * protocol), its colours, clipboard and titles (OSC with a parameter "?"). The sequences are those of ECMA-48, DEC's
 * manuals and xterm's ctlseqs; control characters within one are skipped as terminals skip them.
 *
 * Pure functions: where a sequence begins is found with memchr(), and only the sequence is read byte by byte.
 */

/* Bytes of a query. A longer one is not looked for. */
#define TERMINAL_QUERY_MAX 4096U

typedef enum TerminalSequenceType {
        TERMINAL_OTHER, /* asks nothing, or is no sequence at all */
        TERMINAL_QUERY, /* size: its length */
        TERMINAL_CUT,   /* asks nothing because another sequence begins before it is complete; size: where */
        TERMINAL_OPEN,  /* not complete: the next bytes will tell */
} TerminalSequenceType;

typedef struct TerminalSequence {
        TerminalSequenceType type;
        size_t size;
} TerminalSequence;

/* Returns: how many bytes there are before the next that can begin a query, @n if there is none. */
size_t terminal_find_introducer(const uint8_t *p, size_t n);

/* What @p begins with, which terminal_find_introducer() has found. A control character from 0x80 on counts as one: whether
 * it is the end of a UTF-8 character is for the caller to know, see terminal_is_eight_bit(). */
TerminalSequence terminal_parse(const uint8_t *p, size_t n);

/* Whether this byte is a control character only where the text is not UTF-8. */
static inline bool terminal_is_eight_bit(uint8_t byte) {
        return byte >= 0x80 && byte <= 0x9f;
}
