/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "basic/buffer.h"

/*
 * Output: writes the VM's output to the standard output. A bounded queue contains output that the standard output
 * does not take yet, and output that is held back while the prompt is open.
 *
 * A slow standard output does not block the event loop if it can be opened a second time: only then it can be made
 * non-blocking without affecting other processes. A socket or another user's terminal cannot, and may block the loop.
 */
typedef struct Output Output;

/* Called when some of the queue has been written, or writing has failed (o->error). */
typedef void (*OutputHandler)(Output *o);

struct Output {
        sd_event_source *source; /* NULL: the standard output is always writable */
        int fd;
        Buffer queue;
        OutputHandler handler;
        bool held;
        bool at_line_begin; /* the last byte written was the end of a line */
        int error;          /* negative errno: writing has failed for good */
};

#define OUTPUT_QUEUE_MAX (1024U * 1024U)

int output_open(Output *o, sd_event *event, OutputHandler handler);
void output_close(Output *o);

/* @n: at most output_space() */
void output_add(Output *o, const void *data, size_t n);

void output_hold(Output *o);
void output_release(Output *o);

static inline size_t output_space(const Output *o) {
        return buffer_space(&o->queue);
}

static inline bool output_is_done(const Output *o) {
        return o->queue.size == 0 || o->error < 0;
}
