/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "line-splitter.h"

#define CELLS_MIN 128U
#define REPLACEMENT 0xfffdU

#define TAB_WIDTH 8U

/* How far the cursor can move beyond the end of the line. What it skips becomes blanks, and a few bytes of output
 * must not become a whole line of blanks. */
#define CURSOR_MAX 256U

/* Characters after "ESC ] P" */
#define PALETTE_SIZE 7U

typedef struct Output {
        LineHandler handler;
        void *userdata;
} Output;

static size_t character_size(uint32_t c) {
        return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

static char *character_write(char *p, uint32_t c) {
        size_t size = character_size(c);

        if (size == 1) {
                *p = (char) c;
                return p + 1;
        }

        for (size_t i = size - 1; i > 0; i--, c >>= 6)
                p[i] = (char) (0x80 | (c & 0x3f));
        p[0] = (char) ((0xf00U >> size & 0xff) | c);

        return p + size;
}

static void forget_line(LineSplitter *s) {
        s->n_cells = s->size = s->column = 0;
}

static void show_line(const LineSplitter *s, const Output *output) {
        const uint32_t *begin = s->cell, *end = s->cell + s->n_cells;
        char text[LINE_MAX_SIZE], *p = text;
        const char *line = text;

        while (end > begin && end[-1] == ' ')
                end--;

        for (; begin < end; begin++)
                p = character_write(p, *begin);

        size_t n = (size_t) (p - text);
        int priority = text_take_priority(&line, &n);
        if (n > 0)
                output->handler(line, n, priority, output->userdata);
}

static bool is_within_character_or_sequence(const LineSplitter *s) {
        return s->n_utf8 > 0 || s->state != LINE_TEXT;
}

/* Ends the line. The byte at @next belongs to the next line. */
static void end_line_before(LineSplitter *s, uint64_t next, const Output *output) {
        if (s->n_cells > 0)
                show_line(s, output);
        forget_line(s);

        s->line = next;
        if (!is_within_character_or_sequence(s))
                s->resume = next;
}

static void end_line(LineSplitter *s, const Output *output) {
        end_line_before(s, s->position, output);
}

/* Allocates room for @n cells in all. Returns: false if memory is short. */
static bool reserve(LineSplitter *s, size_t n) {
        if (n <= s->n_allocated)
                return true;

        size_t allocated = MAX(s->n_allocated, (size_t) CELLS_MIN);
        while (allocated < n)
                allocated *= 2;

        uint32_t *cell = reallocarray(s->cell, allocated, sizeof(uint32_t));
        if (!cell)
                return false;

        s->cell = cell;
        s->n_allocated = allocated;
        return true;
}

static void put_character(LineSplitter *s, uint32_t c, const Output *output) {
        size_t size = character_size(c), blanks = s->column > s->n_cells ? s->column - s->n_cells : 0;
        size_t replaced = s->column < s->n_cells ? character_size(s->cell[s->column]) : 0;

        /* If memory is short, the line ends here. */
        if (s->size + blanks - replaced + size > LINE_MAX_SIZE || !reserve(s, s->column + 1)) {
                end_line_before(s, s->character, output);
                blanks = replaced = 0;
                if (!reserve(s, 1))
                        return;
        }

        for (size_t i = 0; i < blanks; i++)
                s->cell[s->n_cells++] = ' ';
        s->cell[s->column++] = c;
        s->n_cells = MAX(s->n_cells, s->column);
        s->size += blanks + size - replaced;
}

static void erase_to_end(LineSplitter *s) {
        while (s->n_cells > s->column)
                s->size -= character_size(s->cell[--s->n_cells]);
}

static void erase_line(LineSplitter *s) {
        s->n_cells = s->size = 0;
        s->column = MIN(s->column, (size_t) CURSOR_MAX);
}

static void move_cursor(LineSplitter *s, size_t column) {
        s->column = MIN(column, MAX(s->n_cells, (size_t) CURSOR_MAX));
}

static void begin_sequence(LineSplitter *s, LineState state) {
        s->state = state;
        s->n_sequence = 0;
        s->parameter = 0;
        s->parameter_ended = s->unusual = false;
}

static bool in_string(const LineSplitter *s) {
        return s->state == LINE_STRING || s->state == LINE_OSC || s->state == LINE_PALETTE;
}

/* A line feed ends a string that has no terminator, because such a string would swallow all further output. No title
 * has two lines. */
static void take_line_feed(LineSplitter *s, const Output *output) {
        if (in_string(s))
                s->state = LINE_TEXT;
        end_line(s, output);
}

static void take_control(LineSplitter *s, uint32_t c, const Output *output) {
        switch (c) {

        case '\n':
        case '\v':
        case '\f':
                take_line_feed(s, output);
                return;

        case 0x18: /* CAN */
        case 0x1a: /* SUB */
                s->state = LINE_TEXT;
                return;

        case 0x1b:
                begin_sequence(s, LINE_ESCAPE);
                return;

        case '\a':
                if (in_string(s))
                        s->state = LINE_TEXT;
                return;
        }

        if (in_string(s))
                return;

        if (c == '\r')
                s->column = 0;
        else if (c == '\b' && s->column > 0)
                s->column--;
        else if (c == '\t')
                s->column = MIN((s->column / TAB_WIDTH + 1) * TAB_WIDTH, (size_t) LINE_MAX_SIZE - 1);
}

static void put_text(LineSplitter *s, uint32_t c, const Output *output) {
        put_character(s, text_is_harmless(c) ? c : REPLACEMENT, output);
}

/* @c: the character after ESC, or of a control character from 0x80 on, which is short for ESC and @c */
static void take_escape(LineSplitter *s, uint32_t c, const Output *output) {
        s->state = LINE_TEXT;

        if (c >= 0x20 && c <= 0x2f)
                s->state = LINE_INTERMEDIATE;
        else if (c == '[')
                begin_sequence(s, LINE_CSI);
        else if (c == ']')
                begin_sequence(s, LINE_OSC);
        else if (c < 0x80 && strchr("PX^_k", (int) c)) /* "k": the title of a window of screen */
                begin_sequence(s, LINE_STRING);
        else if (c < 0x80 && strchr("DEMc", (int) c)) /* moves to another line, or clears the screen */
                end_line(s, output);
        else if (c >= 0x80)
                put_text(s, c, output);
}

static void finish_csi(LineSplitter *s, uint32_t final, const Output *output) {
        size_t n = MAX(s->parameter, 1U);

        s->state = LINE_TEXT;
        if (s->unusual)
                return;

        switch (final) {

        case 'C':
        case 'a':
                move_cursor(s, s->column + n);
                break;

        case 'D':
                move_cursor(s, s->column > n ? s->column - n : 0);
                break;

        case 'G':
        case '`':
                move_cursor(s, n - 1);
                break;

        case 'K':
                if (s->parameter == 0)
                        erase_to_end(s);
                else if (s->parameter == 2)
                        erase_line(s);
                break;

        case 'J':
                if (s->parameter == 0)
                        erase_to_end(s);
                else
                        end_line(s, output);
                break;

        case 'A': /* moves the cursor to another line, or moves lines */
        case 'B':
        case 'E':
        case 'F':
        case 'H':
        case 'L':
        case 'M':
        case 'S':
        case 'T':
        case 'd':
        case 'e':
        case 'f':
                end_line(s, output);
                break;
        }
}

static void take_csi(LineSplitter *s, uint32_t c, const Output *output) {
        if (c >= 0x40 && c <= 0x7e)
                finish_csi(s, c, output);
        else if (c >= 0x80) {
                s->state = LINE_TEXT;
                put_text(s, c, output);
        } else if (c >= '0' && c <= '9') {
                if (!s->parameter_ended)
                        s->parameter = MIN(s->parameter * 10 + (c - '0'), 9999U);
        } else if (c == ';' || c == ':')
                s->parameter_ended = true;
        else
                s->unusual = true;
}

/* "ESC ] R" and "ESC ] P nrrggbb" of Linux's console have no terminator. */
static void take_osc(LineSplitter *s, uint32_t c) {
        begin_sequence(s, c == 'R' ? LINE_TEXT : c == 'P' ? LINE_PALETTE : LINE_STRING);
}

static void take_character(LineSplitter *s, uint32_t c, const Output *output) {
        if (c < 0x20 || c == 0x7f) {
                take_control(s, c, output);
                return;
        }

        if (c >= 0x80 && c <= 0x9f) {
                take_escape(s, c - 0x40, output);
                return;
        }

        if (s->state != LINE_TEXT && ++s->n_sequence > (in_string(s) ? LINE_STRING_MAX : LINE_SEQUENCE_MAX))
                s->state = LINE_TEXT;

        switch (s->state) {

        case LINE_TEXT:
                put_text(s, c, output);
                break;

        case LINE_ESCAPE:
                take_escape(s, c, output);
                break;

        case LINE_INTERMEDIATE:
                if (c >= 0x30)
                        s->state = LINE_TEXT;
                break;

        case LINE_CSI:
                take_csi(s, c, output);
                break;

        case LINE_OSC:
                take_osc(s, c);
                break;

        case LINE_PALETTE:
                if (s->n_sequence == PALETTE_SIZE)
                        s->state = LINE_TEXT;
                break;

        case LINE_STRING:
                break;
        }
}

/* Puts a replacement character for an incomplete UTF-8 sequence. */
static void replace_incomplete(LineSplitter *s, const Output *output) {
        for (size_t n = TAKE(s->n_utf8, 0); n > 0; n--)
                take_character(s, REPLACEMENT, output);
}

static void take_byte(LineSplitter *s, uint8_t byte, const Output *output) {
        uint32_t c;

        if (s->n_utf8 > 0 && (byte & 0xc0) != 0x80)
                replace_incomplete(s, output);

        if (s->n_utf8 == 0)
                s->character = s->position;
        s->position++;

        if (s->n_utf8 == 0 && utf8_length(byte) < 2) {
                take_character(s, byte < 0x80 ? byte : REPLACEMENT, output);
                return;
        }

        s->utf8[s->n_utf8++] = byte;
        if (s->n_utf8 < utf8_length(s->utf8[0]))
                return;

        if (utf8_decode(s->utf8, s->n_utf8, &c) == 0)
                replace_incomplete(s, output);
        else {
                s->n_utf8 = 0;
                take_character(s, c, output);
        }
}

/* The fast path for printable ASCII at the end of a line that has room. Returns: the number of bytes. */
static size_t take_plain(LineSplitter *s, const uint8_t *data, size_t n) {
        size_t room = LINE_MAX_SIZE - s->size, i = 0;

        if (s->state != LINE_TEXT || s->n_utf8 > 0 || s->column != s->n_cells)
                return 0;

        room = MIN(room, s->n_allocated - s->n_cells);
        for (n = MIN(n, room); i < n && data[i] >= 0x20 && data[i] < 0x7f; i++)
                s->cell[s->n_cells + i] = data[i];

        s->n_cells += i;
        s->size += i;
        s->column += i;
        s->position += i;
        return i;
}

void line_splitter_feed(LineSplitter *s, const uint8_t *data, size_t n, LineHandler handler,
                        void *userdata) {
        const Output output = {handler, userdata};

        for (const uint8_t *end = data + n; data < end;) {
                data += take_plain(s, data, (size_t) (end - data));
                if (data < end)
                        take_byte(s, *data++, &output);
        }
}

void line_splitter_flush(LineSplitter *s, LineHandler handler, void *userdata) {
        end_line(s, &(Output){handler, userdata});
}

void line_splitter_skip(LineSplitter *s, uint64_t n) {
        s->position += n;
        s->line = s->resume = s->position;
}

uint64_t line_splitter_resume(const LineSplitter *s) {
        bool fresh = s->n_cells == 0 && s->column == 0 && !is_within_character_or_sequence(s);

        return fresh || s->position - s->resume > LINE_RESUME_MAX ? s->position : s->resume;
}

void line_splitter_clear(LineSplitter *s) {
        free(TAKE_PTR(s->cell));
        s->n_allocated = 0;
        forget_line(s);
}
