/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "style.h"

static bool is_wanted(void) {
        static int wanted = -1;

        if (wanted < 0) {
                const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

                wanted = isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal && *terminal &&
                         !streq(terminal, "dumb");
        }

        return wanted > 0;
}

const char *style_begin(Style s) {
        static const char *const sequences[] = {
                [STYLE_NORMAL] = "",
                [STYLE_HEADER] = "\033[1;4m",
                [STYLE_GOOD] = "\033[32m",
                [STYLE_BUSY] = "\033[33m",
                [STYLE_FAINT] = "\033[90m",
        };

        return is_wanted() ? sequences[s] : "";
}

const char *style_end(Style s) {
        return s != STYLE_NORMAL && is_wanted() ? "\033[0m" : "";
}
