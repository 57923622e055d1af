/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* Returns: whether @pattern matches the whole of @text: "*" matches any number of characters, "?" exactly one character
 * (UTF-8). Nothing can be escaped. Takes at most strlen(@pattern) * strlen(@text) steps. */
bool glob_match(const char *pattern, const char *text);

/* Returns: whether @text contains "*" or "?". */
bool glob_is_pattern(const char *text);
