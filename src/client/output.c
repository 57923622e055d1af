/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "output.h"

/* O_NONBLOCK would affect all processes that share the open file description, for example our shell. A regular
 * file is not opened again, because of its position; writing to it does not block. */
static int open_once_more(void) {
        struct stat st;

        if (fstat(STDOUT_FILENO, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode))
                return -EINVAL;

        int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return fd >= 0 ? fd : -errno;
}

/* Writes until the queue is empty or the standard output takes no more. */
static void output_flush(Output *o) {
        bool blocked = false;

        while (!o->held && !blocked && !output_is_done(o)) {
                const uint8_t *p = buffer_data(&o->queue);
                ssize_t n = write(o->fd, p, o->queue.size);

                if (n > 0) {
                        o->at_line_begin = p[n - 1] == '\n';
                        buffer_consume(&o->queue, (size_t) n);
                } else if (n < 0 && errno == EAGAIN)
                        blocked = true;
                else if (n < 0 && errno != EINTR)
                        o->error = -errno;
        }

        if (o->source)
                (void) sd_event_source_set_enabled(o->source, blocked ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int output_dispatch(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
                           void *userdata) {
        Output *o = userdata;

        output_flush(o);
        o->handler(o);
        return 0;
}

int output_open(Output *o, sd_event *event, OutputHandler handler) {
        int again = open_once_more();

        *o = (Output){
                .fd = again >= 0 ? again : STDOUT_FILENO,
                .queue = BUFFER_INIT(OUTPUT_QUEUE_MAX),
                .handler = handler,
                .at_line_begin = true,
        };

        int r = sd_event_add_io(event, &o->source, o->fd, EPOLLOUT, output_dispatch, o);
        if (r == -EPERM) /* a file, or /dev/null */
                return 0;
        if (r < 0) {
                output_close(o);
                return r;
        }

        return sd_event_source_set_enabled(o->source, SD_EVENT_OFF);
}

void output_close(Output *o) {
        o->source = sd_event_source_disable_unref(o->source);
        if (o->fd > STDERR_FILENO)
                safe_close(o->fd);
        o->fd = -1;
        buffer_clear(&o->queue);
}

void output_add(Output *o, const void *data, size_t n) {
        int r = buffer_append(&o->queue, data, n);

        if (r < 0)
                o->error = r;
        else
                output_flush(o);
}

void output_hold(Output *o) {
        o->held = true;
        output_flush(o);
}

void output_release(Output *o) {
        o->held = false;
        output_flush(o);
}
