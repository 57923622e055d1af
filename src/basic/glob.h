/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* Returns: whether @text as a whole fits @pattern: "*" stands for any characters or none, "?" for exactly one character
 * (UTF-8). There is no escape. Takes at most strlen(@pattern) * strlen(@text) steps, whatever both are. */
bool glob_match(const char *pattern, const char *text);

/* Returns: whether @text contains "*" or "?". */
bool glob_is_pattern(const char *text);
