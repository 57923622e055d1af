/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "basic/buffer.h"

/*
 * Output: what the VM says, on its way to the standard output: a bounded queue for what that does not take
 * yet, or is held back from it while the person looks at something else.
 *
 * The standard output never holds up the event loop, if it can be opened once more without touching what it
 * has in common with other processes. (A socket cannot, nor a terminal of somebody else's: these may.)
 */
typedef struct Output Output;

/* What has been queued has been written, or cannot be: o->error */
typedef void (*OutputHandler)(Output *o);

struct Output {
        sd_event_source *source; /* NULL: it can always be written to */
        int fd;
        Buffer queue;
        OutputHandler handler;
        bool held;
        bool at_line_begin; /* the last that has been written ended a line */
        int error;          /* negative errno: nothing can be written any more */
};

#define OUTPUT_QUEUE_MAX (1024U * 1024U)

int output_open(Output *o, sd_event *event, OutputHandler handler);
void output_close(Output *o);

/* At most output_space() bytes */
void output_add(Output *o, const void *data, size_t n);

void output_hold(Output *o);
void output_release(Output *o);

static inline size_t output_space(const Output *o) {
        return buffer_space(&o->queue);
}

static inline bool output_is_done(const Output *o) {
        return o->queue.size == 0 || o->error < 0;
}
