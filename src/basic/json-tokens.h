/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* Returns: an upper bound of the number of tokens in a JSON text: the number of characters that begin or separate
 * members, including such characters in strings. It is checked before parsing, because a few bytes of text can
 * take hundreds of bytes of memory when they are parsed. */
static inline size_t json_count_tokens(const char *text, size_t n) {
        size_t n_tokens = 0;

        for (size_t i = 0; i < n; i++)
                n_tokens += text[i] == '{' || text[i] == '[' || text[i] == ',' || text[i] == ':';

        return n_tokens;
}
