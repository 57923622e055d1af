/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* How many tokens a JSON text has at most: characters that begin or divide objects and arrays, those within strings
 * among them. For a bound before it is parsed, for what a few bytes of text become may take hundreds in memory. */
static inline size_t json_count_tokens(const char *text, size_t n) {
        size_t n_tokens = 0;

        for (size_t i = 0; i < n; i++)
                n_tokens += text[i] == '{' || text[i] == '[' || text[i] == ',' || text[i] == ':';

        return n_tokens;
}
