/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/ioctl.h>
#include <wchar.h>

#include "basic/parse.h"
#include "basic/text.h"
#include "table.h"

/* Of a cell; nothing that we show is longer. */
#define CELL_MAX 1024U

struct Table {
        const Column *columns;
        size_t n_columns;
        Cell *cells; /* row by row; they own their text */
        size_t n_cells, n_allocated;
};

int table_new(const Column *columns, size_t n_columns, Table **ret) {
        Table *t = malloc(sizeof(Table));
        if (!t)
                return -ENOMEM;

        *t = (Table){.columns = columns, .n_columns = n_columns};
        *ret = t;
        return 0;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;

        for (size_t i = 0; i < t->n_cells; i++)
                free((char *) t->cells[i].text);
        free(t->cells);
        free(t);
        return NULL;
}

static int table_make_room(Table *t) {
        if (t->n_allocated - t->n_cells >= t->n_columns)
                return 0;

        size_t n = MAX(t->n_allocated * 2, 16 * t->n_columns);
        Cell *cells = reallocarray(t->cells, n, sizeof(Cell));
        if (!cells)
                return -ENOMEM;

        t->cells = cells;
        t->n_allocated = n;
        return 0;
}

int table_add(Table *t, const Cell *cells) {
        int r = table_make_room(t);
        if (r < 0)
                return r;

        for (size_t i = 0; i < t->n_columns; i++) {
                char *text = text_sanitize(cells[i].text, strlen(cells[i].text), CELL_MAX);
                if (!text) {
                        for (; i > 0; i--)
                                free((char *) t->cells[--t->n_cells].text);
                        return -ENOMEM;
                }

                t->cells[t->n_cells++] = (Cell){text, cells[i].style};
        }

        return 0;
}

/* Moves *@p behind its first character. Returns: how many columns that takes. */
static size_t next_character(const char **p) {
        wchar_t c;
        size_t n = mbrtowc(&c, *p, MB_CUR_MAX, &(mbstate_t){}); /* it stops at the NUL */
        bool valid = n > 0 && n < (size_t) -2;
        int width = valid ? wcwidth(c) : 1;

        *p += valid ? n : 1;
        return width >= 0 ? (size_t) width : 1;
}

static size_t text_width(const char *text) {
        size_t width = 0;

        while (*text)
                width += next_character(&text);

        return width;
}

/* What is left of @text from where its last characters take at most @width columns. */
static const char *text_tail(const char *text, size_t width) {
        size_t skip = text_width(text);

        skip -= MIN(skip, width);
        while (*text && skip > 0)
                skip -= MIN(skip, next_character(&text));

        return text;
}

/* How many bytes of @text take at most @width columns. */
static size_t text_head(const char *text, size_t width) {
        const char *p = text;

        for (;;) {
                const char *next = p;

                if (!*p)
                        break;

                size_t n = next_character(&next);
                if (n > width)
                        break;

                width -= n;
                p = next;
        }

        return (size_t) (p - text);
}

static void pad(FILE *f, size_t n) {
        fprintf(f, "%*s", (int) n, "");
}

/* Pads to @width, or ellipsizes. */
static void print_fitted(FILE *f, const Column *c, const char *text, size_t width) {
        size_t n = text_width(text);

        if (n <= width) {
                if (c->right)
                        pad(f, width - n);
                fputs(text, f);
                if (!c->right)
                        pad(f, width - n);
                return;
        }

        size_t before = (width - 1) * c->cut_after / 100;
        size_t head = text_head(text, before);
        const char *tail = text_tail(text, width - 1 - before);

        fprintf(f, "%.*s…%s", (int) head, text, tail);

        /* Wide characters may not come out even. */
        pad(f, width - 1 - (text_width(text) - text_width(text + head)) - text_width(tail));
}

static void print_row(const Table *t, FILE *f, const Cell *row, const size_t *widths) {
        for (size_t i = 0; i < t->n_columns; i++) {
                if (i > 0)
                        fputc(' ', f);

                fputs(style_begin(row[i].style), f);
                /* Nothing follows the last one. */
                print_fitted(f, &t->columns[i], row[i].text,
                             i + 1 < t->n_columns || t->columns[i].right
                                     ? widths[i]
                                     : MIN(widths[i], text_width(row[i].text)));
                fputs(style_end(row[i].style), f);
        }

        fputc('\n', f);
}

/* Takes from the widest columns that have something to give until the row fits, or none has. */
static void shrink(const Table *t, size_t *widths, size_t available) {
        size_t total = t->n_columns - 1;

        for (size_t i = 0; i < t->n_columns; i++)
                total += widths[i];

        while (total > available) {
                size_t widest = SIZE_MAX;

                for (size_t i = 0; i < t->n_columns; i++)
                        if (t->columns[i].least > 0 && widths[i] > t->columns[i].least &&
                            (widest == SIZE_MAX || widths[i] > widths[widest]))
                                widest = i;
                if (widest == SIZE_MAX)
                        return;

                widths[widest]--;
                total--;
        }
}

int table_print(Table *t, FILE *f, size_t width, TableFlags flags) {
        _cleanup_free_ size_t *widths = calloc(t->n_columns, sizeof(size_t));
        _cleanup_free_ Cell *header = calloc(t->n_columns, sizeof(Cell));
        if (!widths || !header)
                return -ENOMEM;

        for (size_t i = 0; i < t->n_columns; i++) {
                header[i] = (Cell){t->columns[i].title, STYLE_HEADER};
                if (flags & TABLE_HEADER)
                        widths[i] = text_width(t->columns[i].title);
        }
        for (size_t i = 0; i < t->n_cells; i++)
                widths[i % t->n_columns] = MAX(widths[i % t->n_columns], text_width(t->cells[i].text));

        shrink(t, widths, width);

        if (flags & TABLE_HEADER)
                print_row(t, f, header, widths);
        for (size_t i = 0; i < t->n_cells; i += t->n_columns)
                print_row(t, f, &t->cells[i], widths);

        return 0;
}

size_t table_terminal_width(void) {
        const char *columns = getenv("COLUMNS");
        struct winsize size;
        uint64_t n;

        if (!isatty(STDOUT_FILENO))
                return SIZE_MAX;
        if (columns && parse_unsigned(columns, UINT16_MAX, &n) >= 0 && n > 0)
                return n;

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0 ? size.ws_col : 80;
}
