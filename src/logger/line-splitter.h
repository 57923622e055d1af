/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * LineSplitter: converts the output of a serial console, which is meant for a terminal, to lines of text. It behaves like a
 * terminal with a single line: carriage return, backspace, tab and control sequences that move the cursor or erase within the
 * line have their usual effect. So a progress bar results in its last state, and an edited command line in the command that
 * was entered. A line feed, or moving the cursor to another line, ends the line. All other control characters and control
 * sequences (ECMA-48: CSI, OSC, DCS and so on) are removed.
 *
 * A line is valid UTF-8 without control characters (those that are not text_is_harmless() become U+FFFD) and without blanks at
 * its end. It is never empty and has at most LINE_MAX_SIZE bytes; a longer line is split. The result does not depend on how
 * the input is divided into calls, and the work is linear in the size of the input.
 *
 * It counts the bytes of input, and knows the position at which the line begins, and the position from which the input must be
 * fed again to another LineSplitter, so that it produces the same following lines.
 *
 * Embedded in its owner, all zero to begin with, except `position`.
 */
#define LINE_MAX_SIZE 8192U

/* The maximum of bytes that must be fed again. If it would be more, a line may be cut. */
#define LINE_RESUME_MAX (4U * LINE_MAX_SIZE)

/* The maximum characters of a control sequence, and of a string in one. What follows is text again. */
#define LINE_SEQUENCE_MAX 256U
#define LINE_STRING_MAX 4096U

typedef enum LineState {
        LINE_TEXT,
        LINE_ESCAPE,       /* ESC has been seen */
        LINE_INTERMEDIATE, /* in a short sequence, before its final byte */
        LINE_CSI,
        LINE_OSC,          /* before its first character */
        LINE_PALETTE,      /* Linux's "ESC ] P nrrggbb", which has no terminator */
        LINE_STRING,       /* OSC, DCS, APC, PM, SOS: up to the terminator */
} LineState;

typedef struct LineSplitter {
        uint32_t *cell; /* the characters of the line, one for each column */
        size_t n_cells, n_allocated;
        size_t size;    /* bytes of the line in UTF-8 */
        size_t column;  /* of the cursor, which may be beyond the last character */

        LineState state;
        size_t n_sequence;  /* characters of the control sequence so far */
        unsigned parameter; /* of CSI: the first one */
        bool parameter_ended;
        bool unusual; /* the CSI contains something that no supported sequence has */

        uint8_t utf8[4]; /* the bytes of an incomplete character */
        size_t n_utf8;

        /* Positions */
        uint64_t position;  /* of the next byte */
        uint64_t character; /* of the first byte of the last character */
        uint64_t line;      /* of the first byte after the previous line */
        uint64_t resume;    /* the last `line` at which no character or control sequence was incomplete */
} LineSplitter;

/* Called for each line, which begins at the position `line`. @text: @n bytes, valid until the handler returns. @priority: of
 * the prefix that the kernel and sd-daemon(3) write ("<4>", which is not part of the line), or LOG_INFO */
typedef void (*LineHandler)(const char *text, size_t n, int priority, void *userdata);

void line_splitter_feed(LineSplitter *s, const uint8_t *data, size_t n, LineHandler handler, void *userdata);

/* Ends the present line, and calls the handler for it unless it is empty. */
void line_splitter_flush(LineSplitter *s, LineHandler handler, void *userdata);

/* Counts @n bytes that are missing or skipped. Must be called after line_splitter_flush(). */
void line_splitter_skip(LineSplitter *s, uint64_t n);

/* Returns: the position from which another LineSplitter must be fed to produce the same following lines. */
uint64_t line_splitter_resume(const LineSplitter *s);

/* Frees its memory and forgets the present line. */
void line_splitter_clear(LineSplitter *s);

static inline bool line_splitter_is_empty(const LineSplitter *s) {
        return s->n_cells == 0;
}
