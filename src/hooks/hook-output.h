/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hook-log.h"

/*
 * HookOutput: converts what a hook writes to stdout and stderr to log entries, one for each line, with the priority
 * of a prefix such as <3> (sd-daemon(3)). Control characters are replaced. Only the first HOOK_OUTPUT_LINE_MAX bytes
 * of a line and the first HOOK_OUTPUT_LINES_MAX lines are logged; further lines are counted.
 */
#define HOOK_OUTPUT_LINE_MAX 1024U
#define HOOK_OUTPUT_LINES_MAX 64U

typedef struct HookOutput {
        HookLog *log;
        const char *path;       /* of the hook */
        const HookEvent *event; /* for which it is run */
        char line[HOOK_OUTPUT_LINE_MAX];
        size_t size;  /* of line; the rest of a longer line is dropped */
        uint64_t n_lines;
} HookOutput;

void hook_output_append(HookOutput *o, const char *data, size_t n);

/* Must be called at the end of the output. */
void hook_output_end(HookOutput *o);
