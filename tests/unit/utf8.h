/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Checks UTF-8 with the table of RFC 3629, section 4: the first byte determines how many bytes follow and the range
 * of the second. This is on purpose another method than that of src/basic/text.c, which computes code points.
 */
static inline bool utf8_is_valid(const char *s) {
        static const struct {
                uint8_t first_min, first_max, second_min, second_max, tail;
        } rows[] = {
                {0x01, 0x7f, 0, 0, 0},
                {0xc2, 0xdf, 0x80, 0xbf, 1},
                {0xe0, 0xe0, 0xa0, 0xbf, 2},
                {0xe1, 0xec, 0x80, 0xbf, 2},
                {0xed, 0xed, 0x80, 0x9f, 2},
                {0xee, 0xef, 0x80, 0xbf, 2},
                {0xf0, 0xf0, 0x90, 0xbf, 3},
                {0xf1, 0xf3, 0x80, 0xbf, 3},
                {0xf4, 0xf4, 0x80, 0x8f, 3},
        };

        for (const uint8_t *p = (const uint8_t *) s; *p;) {
                size_t i = 0;

                while (i < ELEMENTSOF(rows) && (*p < rows[i].first_min || *p > rows[i].first_max))
                        i++;
                if (i == ELEMENTSOF(rows))
                        return false;

                uint8_t min = rows[i].second_min, max = rows[i].second_max;
                p++;
                for (uint8_t k = 0; k < rows[i].tail; k++, p++, min = 0x80, max = 0xbf)
                        if (*p < min || *p > max)
                                return false;
        }

        return true;
}

/* Returns: whether valid UTF-8 contains characters that text_sanitize() replaces: each range as bytes, in order. */
static inline bool utf8_is_harmless(const char *s) {
        static const char *const ranges[][2] = {
                {"\x01", "\x1f"},                 /* C0 */
                {"\x7f", "\x7f"},                 /* DEL */
                {"\xc2\x80", "\xc2\x9f"},         /* C1 */
                {"\xd8\x9c", "\xd8\x9c"},         /* U+061C Arabic letter mark */
                {"\xe2\x80\x8e", "\xe2\x80\x8f"}, /* U+200E, U+200F left-to-right, right-to-left mark */
                {"\xe2\x80\xa8", "\xe2\x80\xae"}, /* U+2028 … U+202E separators, embeddings, overrides */
                {"\xe2\x81\xa6", "\xe2\x81\xa9"}, /* U+2066 … U+2069 isolates */
        };

        /* UTF-8 sorts like its code points. */
        for (; *s; s++)
                for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
                        size_t n = strlen(ranges[i][0]);

                        if (strncmp(s, ranges[i][0], n) >= 0 && strncmp(s, ranges[i][1], n) <= 0 &&
                            ((uint8_t) *s & 0xc0) != 0x80)
                                return false;
                }

        return true;
}
