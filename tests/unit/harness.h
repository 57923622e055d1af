/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Included by every unit test: cmocka, after the headers that it needs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "basic/macro.h"

/* A string literal as bytes and their number. It may contain NUL. */
#define BYTES(literal) (const uint8_t *) (literal), sizeof(literal) - 1

/* For long texts: on failure, shows them from shortly before the first difference. */
static inline void assert_text_equal(const char *got, const char *want) {
        size_t same = 0;

        while (got[same] && got[same] == want[same])
                same++;
        if (got[same] == want[same])
                return;

        size_t from = same > 60 ? same - 60 : 0;
        fail_msg("they differ at %zu:\n got  %.200s\n want %.200s", same, got + from, want + from);
}
