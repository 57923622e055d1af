/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Colours and the like on the standard output: only if that is a terminal which knows them, and unless
 * NO_COLOR (https://no-color.org) is set. */
typedef enum Style {
        STYLE_NORMAL,
        STYLE_HEADER,
        STYLE_GOOD,
        STYLE_BUSY,
        STYLE_FAINT,
} Style;

/* What is written before and after; empty strings if nothing is. */
const char *style_begin(Style s);
const char *style_end(Style s);
