/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "glob.h"
#include "text.h"

/* Returns: the length of the UTF-8 character at @text, which is not empty; 1 if it is not UTF-8. */
static size_t character_size(const char *text) {
        uint32_t c;

        return utf8_decode((const uint8_t *) text, strnlen(text, 4), &c) ?: 1;
}

/* Backtracking to the last "*" is enough: letting an earlier "*" match more characters never helps. */
bool glob_match(const char *pattern, const char *text) {
        const char *behind_star = NULL, *star_text = NULL;

        for (;;) {
                if (*pattern == '*') {
                        behind_star = ++pattern;
                        star_text = text;
                } else if (!*text)
                        return !*pattern;
                else if (*pattern == '?') {
                        pattern++;
                        text += character_size(text);
                } else if (*pattern == *text) {
                        pattern++;
                        text++;
                } else if (behind_star) {
                        pattern = behind_star;
                        star_text += character_size(star_text);
                        text = star_text;
                } else
                        return false;
        }
}

bool glob_is_pattern(const char *text) {
        return text[strcspn(text, "*?")];
}
