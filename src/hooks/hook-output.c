/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "basic/text.h"
#include "hook-output.h"

static void output_end_line(HookOutput *o) {
        size_t n = TAKE(o->size, 0);

        if (n > 0 && o->line[n - 1] == '\r')
                n--;
        if (n == 0 || o->n_lines++ >= HOOK_OUTPUT_LINES_MAX)
                return;

        for (size_t i = 0; i < n; i++)
                if (o->line[i] == '\t')
                        o->line[i] = ' ';

        const char *text = o->line;
        int level = text_take_priority(&text, &n);
        _cleanup_free_ char *clean = text_sanitize(text, n, n);
        if (clean)
                hook_log_line(o->log, level, o->path, o->event, clean);
}

void hook_output_append(HookOutput *o, const char *data, size_t n) {
        while (n > 0) {
                const char *end = memchr(data, '\n', n);
                size_t length = end ? (size_t) (end - data) : n, k = MIN(length, sizeof o->line - o->size);

                memcpy(o->line + o->size, data, k);
                o->size += k;
                if (!end)
                        return;

                output_end_line(o);
                data += length + 1;
                n -= length + 1;
        }
}

void hook_output_end(HookOutput *o) {
        char text[64];

        output_end_line(o);
        if (o->n_lines <= HOOK_OUTPUT_LINES_MAX)
                return;

        snprintf(text, sizeof text, "%" PRIu64 " more lines are left out",
                 o->n_lines - HOOK_OUTPUT_LINES_MAX);
        hook_log_line(o->log, LOG_NOTICE, o->path, o->event, text);
}
