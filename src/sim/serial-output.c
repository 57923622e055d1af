/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <stdio.h>

#include "basic/log.h"
#include "serial-output.h"

/* Room for a whole read of one connection, or of two during a vMotion */
#define ECHO_MAX (SERIAL_OUTPUT_ECHO_HIGH + 2 * 65536U)

/* Name, number, text: all lines have the same length, so that any part of the output can be computed from its
 * offset. */
#define LINE_NUMBER 16
static const char line_text[] = " the quick brown fox jumps over the dog";
#define LINE (SERIAL_OUTPUT_NAME + 1 + LINE_NUMBER + sizeof line_text - 1 + 2)

static void make_line(const uint8_t *name, uint64_t number, uint8_t line[static LINE]) {
        uint8_t *p = mempcpy(line, name, SERIAL_OUTPUT_NAME);

        *p++ = ' ';

        for (size_t i = LINE_NUMBER; i-- > 0; number /= 10)
                p[i] = (uint8_t) ('0' + number % 10);
        p += LINE_NUMBER;

        p = mempcpy(p, line_text, sizeof line_text - 1);
        memcpy(p, "\r\n", 2);
}

static void make_lines(const uint8_t *name, uint64_t offset, uint8_t *data, size_t n) {
        while (n > 0) {
                uint8_t line[LINE];
                size_t skip = offset % LINE, size = MIN(LINE - skip, n);

                make_line(name, offset / LINE, line);
                memcpy(data, line + skip, size);
                data += size;
                offset += size;
                n -= size;
        }
}

void serial_output_init(SerialOutput *o, const SimOptions *options, const char *name) {
        *o = (SerialOutput){.options = options, .source_fd = -1, .echo = BUFFER_INIT(ECHO_MAX)};
        memset(o->name, ' ', sizeof o->name);
        memcpy(o->name, name, strnlen(name, sizeof o->name));
}

void serial_output_done(SerialOutput *o) {
        buffer_clear(&o->echo);
}

/* A VM that could not write for a while catches up for one second at most. */
static size_t permitted(SerialOutput *o, usec_t now, size_t n) {
        uint64_t rate = o->options->rate;

        n = (size_t) MIN((uint64_t) n, o->options->bytes - o->offset);
        if (rate == RATE_MAX)
                return n;

        if (o->since_usec == 0)
                o->since_usec = now;

        uint64_t elapsed = MIN(now - o->since_usec, (usec_t) USEC_PER_SEC);
        uint64_t earned = (uint64_t) ((unsigned __int128) elapsed * rate / USEC_PER_SEC);
        if (earned > 0) {
                o->allowance = MIN(o->allowance + earned, rate);
                o->since_usec = now;
        }

        return (size_t) MIN((uint64_t) n, o->allowance);
}

static ssize_t read_source(SerialOutput *o, uint8_t *data, size_t n) {
        if (!o->source_watch)
                return pread(o->source_fd, data, n, (off_t) o->offset);

        /* Not made non-blocking, because it is shared with the process that started us. */
        struct pollfd ready = {.fd = o->source_fd, .events = POLLIN};
        if (poll(&ready, 1, 0) == 0) {
                errno = EAGAIN;
                (void) poller_watch(o->poller, o->source_watch, EPOLLIN);
                return -1;
        }

        return read(o->source_fd, data, n);
}

static size_t take_source(SerialOutput *o, uint8_t *data, size_t n) {
        ssize_t k = read_source(o, data, n);

        if (k > 0)
                return (size_t) k;
        if (k < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (k < 0)
                log_error_errno(errno, "Cannot read %s: %m", o->options->source);

        o->ended = true;
        return 0;
}

size_t serial_output_take(SerialOutput *o, usec_t now, uint8_t *data, size_t n) {
        if (o->echo.size > 0) {
                n = MIN(n, o->echo.size);
                memcpy(data, buffer_data(&o->echo), n);
                buffer_consume(&o->echo, n);
                return n;
        }

        if (o->ended)
                return 0;
        if (o->program)
                return guest_program_read(o->program, data, n);
        if (o->remote)
                return remote_guest_read(o->remote, data, n);
        if (o->options->rate == RATE_NONE)
                return 0;

        n = permitted(o, now, n);
        if (n == 0)
                return 0;

        if (o->options->source)
                n = take_source(o, data, n);
        else
                make_lines(o->name, o->offset, data, n);

        o->offset += n;
        if (o->options->rate != RATE_MAX)
                o->allowance -= n;
        if (o->offset >= o->options->bytes)
                o->ended = true;

        return n;
}
