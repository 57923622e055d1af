/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "style.h"

/*
 * Table: rows of text in columns that are as wide as what is in them, or as narrow as the terminal makes
 * them. What is put in is sanitised, and measured in columns of the terminal.
 */
typedef struct Column {
        const char *title;
        size_t least;       /* may be ellipsized down to this width; 0: never */
        unsigned cut_after; /* percent of the width that stand before the ellipsis */
        bool right;         /* numbers are aligned to the right */
} Column;

typedef struct Cell {
        const char *text;
        Style style;
} Cell;

typedef struct Table Table;

/* @columns is borrowed. */
int table_new(const Column *columns, size_t n_columns, Table **ret);
Table *table_free(Table *t);
DEFINE_TRIVIAL_CLEANUP_FUNC(Table *, table_free);

/* As many cells as there are columns; their text is copied. */
int table_add(Table *t, const Cell *cells);

typedef enum TableFlags {
        TABLE_PLAIN = 0,
        TABLE_HEADER = 1 << 0,
} TableFlags;

/* @width: columns that there are, SIZE_MAX: any number */
int table_print(Table *t, FILE *f, size_t width, TableFlags flags);

/* Columns of the terminal that the standard output is, SIZE_MAX if it is none. */
size_t table_terminal_width(void);
