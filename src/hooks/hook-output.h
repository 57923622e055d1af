/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hook-log.h"

/*
 * HookOutput: what a hook writes on stdout and stderr, on its way into the log: each line an entry, made fit
 * for people, with the priority that a prefix such as <3> says it has (sd-daemon(3)). Of a longer line the
 * first HOOK_OUTPUT_LINE_MAX bytes are logged, of more lines the first HOOK_OUTPUT_LINES_MAX; the rest is
 * counted.
 */
#define HOOK_OUTPUT_LINE_MAX 1024U
#define HOOK_OUTPUT_LINES_MAX 64U

typedef struct HookOutput {
        HookLog *log;
        const char *path;       /* the hook's */
        const HookEvent *event; /* of which it has been told */
        char line[HOOK_OUTPUT_LINE_MAX];
        size_t size;  /* of line; there may have been more */
        uint64_t n_lines;
} HookOutput;

void hook_output_append(HookOutput *o, const char *data, size_t n);

/* There is no more to come. */
void hook_output_end(HookOutput *o);
