/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "basic/buffer.h"

/*
 * Output: the VM's output on its way to the standard output. A bounded queue has what the standard output
 * does not take yet, and what is held back while the prompt is open.
 *
 * A slow standard output does not hold up the event loop if it can be opened a second time, so that making
 * it non-blocking does not affect other processes. A socket or another user's terminal cannot, and may hold
 * it up.
 */
typedef struct Output Output;

/* Some of the queue has been written, or nothing can be written any more: o->error */
typedef void (*OutputHandler)(Output *o);

struct Output {
        sd_event_source *source; /* NULL: it can always be written to */
        int fd;
        Buffer queue;
        OutputHandler handler;
        bool held;
        bool at_line_begin; /* the last byte that was written ended a line */
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
