/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * LineSplitter: makes lines for people of what a serial console sends to a terminal. It is a terminal of one
 * line: carriage return, backspace, tab and what moves the cursor within a line or erases there do what they
 * do on a screen, so that a progress bar is its last state and a corrected command is what was entered. What
 * leaves the line, a line feed or a cursor that is sent elsewhere, ends it. All other control sequences
 * (ECMA-48: CSI, OSC, DCS and their like) and control characters leave no trace.
 *
 * A line is valid UTF-8 in which nothing but shows (text_is_harmless(); what is not is U+FFFD), without blanks
 * at its end, never empty and at most LINE_MAX_SIZE bytes: a longer one is given out in pieces. How the input
 * is cut into calls makes no difference. The work is linear in it whatever it is.
 *
 * It counts what it has been fed, and knows where in that a line begins, and from where on it would have to be fed again to
 * go on where it is.
 *
 * Embedded in its owner, all zero to begin with, but for `position`.
 */
#define LINE_MAX_SIZE 8192U

/* Bytes that it asks for again, at most; then a line may be cut. */
#define LINE_RESUME_MAX (4U * LINE_MAX_SIZE)

/* A control sequence that is longer than this is none; what follows is text again. */
#define LINE_SEQUENCE_MAX 256U
#define LINE_STRING_MAX 4096U

typedef enum LineState {
        LINE_TEXT,
        LINE_ESCAPE,       /* ESC has been seen */
        LINE_INTERMEDIATE, /* and what comes before the final byte of a short sequence */
        LINE_CSI,
        LINE_OSC,          /* its first character is next */
        LINE_PALETTE,      /* Linux's "ESC ] P nrrggbb", which has no terminator */
        LINE_STRING,       /* OSC, DCS, APC, PM, SOS: up to the terminator */
} LineState;

typedef struct LineSplitter {
        uint32_t *cell; /* characters, one a column */
        size_t n_cells, n_allocated;
        size_t size;    /* of them in UTF-8 */
        size_t column;  /* of the cursor, possibly beyond the last */

        LineState state;
        size_t n_sequence;  /* characters of the control sequence so far */
        unsigned parameter; /* of CSI: the first one */
        bool parameter_ended;
        bool unusual; /* the CSI has what no sequence has that we follow */

        uint8_t utf8[4]; /* of a character that is not complete */
        size_t n_utf8;

        uint64_t position;  /* of the byte that is next */
        uint64_t character; /* of the first byte of the character that has been fed last */
        uint64_t line;      /* of the first byte after the line before */
        uint64_t resume;    /* the last `line` that nothing was left over at, such as a control sequence */
} LineSplitter;

/* A line: @n bytes at @text, which are valid until the handler returns. It begins at the splitter's `line`. @priority: syslog's, from a prefix as
 * the kernel and sd-daemon(3) write it ("<4>", which is not part of the line), or LOG_INFO. */
typedef void (*LineHandler)(const char *text, size_t n, int priority, void *userdata);

void line_splitter_feed(LineSplitter *s, const uint8_t *data, size_t n, LineHandler handler, void *userdata);

/* Gives out what there is of a line; what comes next begins another one. */
void line_splitter_flush(LineSplitter *s, LineHandler handler, void *userdata);

/* @n bytes are missing, or are not of interest. To be called after line_splitter_flush(). */
void line_splitter_skip(LineSplitter *s, uint64_t n);

/* The position such that one that has been fed nothing before it does as this one does. */
uint64_t line_splitter_resume(const LineSplitter *s);

/* Frees its memory, and forgets what there is of a line. */
void line_splitter_clear(LineSplitter *s);

static inline bool line_splitter_is_empty(const LineSplitter *s) {
        return s->n_cells == 0;
}
