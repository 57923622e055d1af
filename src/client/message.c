/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/text.h"
#include "message.h"

static void write_message(const char *text) {
        /* Earlier output must come first, if both go to the same place. */
        (void) fflush(stdout);
        fprintf(stderr, "vspc-client: %s\n", text ?: "Out of memory");
}

char *message_clean(const char *text) {
        char *all = NULL;
        size_t size;

        FILE *f = open_memstream(&all, &size);
        if (!f)
                return NULL;

        for (bool more = true; more;) {
                size_t n = strcspn(text, "\n");
                _cleanup_free_ char *line = text_sanitize(text, n, n);

                more = text[n];
                fprintf(f, "%s%s", line ?: "?", more ? "\n" : "");
                text += n + 1;
        }

        if (fclose(f) != 0)
                free(TAKE_PTR(all));

        return all;
}

static void message_va(int error, const char *format, va_list ap) _printf_(2, 0);
static void message_va(int error, const char *format, va_list ap) {
        errno = error;
        _cleanup_free_ char *clean = text_format_clean_va(SIZE_MAX, format, ap);

        write_message(clean);
}

void message(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        message_va(0, format, ap);
        va_end(ap);
}

int complain(int error, const char *format, ...) {
        va_list ap;

        error = abs(error);
        va_start(ap, format);
        message_va(error, format, ap);
        va_end(ap);

        return -error;
}

void message_lines(const char *text) {
        _cleanup_free_ char *clean = text ? message_clean(text) : NULL;

        write_message(clean);
}

int complain_lines(int error, const char *text) {
        message_lines(text);
        return -abs(error);
}
