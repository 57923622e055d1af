/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/buffer.h"
#include "guest-program.h"
#include "remote-guest.h"
#include "sim-options.h"

/*
 * SerialOutput: the output of a VM's guest: numbered lines, a file, the output of a program or of another machine,
 * and the echo of what clients type (--echo). It is one sequence of bytes, from which the VM's present connection
 * takes pieces.
 */
#define SERIAL_OUTPUT_NAME 20U /* bytes of the VM's name in each line */

typedef struct SerialOutput {
        const SimOptions *options;
        uint8_t name[SERIAL_OUTPUT_NAME]; /* padded with spaces */
        GuestProgram *program;   /* borrowed */
        RemoteGuest *remote;     /* borrowed */
        int source_fd;           /* borrowed */
        Watch *source_watch;     /* borrowed; NULL: a regular file, which is read at @offset */
        Poller *poller;

        Buffer echo;
        uint64_t offset;         /* bytes taken, without echo */
        usec_t since_usec;       /* when the allowance was last updated; 0: never */
        uint64_t allowance;      /* bytes that --rate permitted at that time */
        bool ended;              /* the end of --source or --bytes has been reached */
} SerialOutput;

/* If more bytes of echo wait, the guest stops reading. */
#define SERIAL_OUTPUT_ECHO_HIGH 65536U

/* @name: the VM's. */
void serial_output_init(SerialOutput *o, const SimOptions *options, const char *name);
void serial_output_done(SerialOutput *o);

/* Returns: the number of bytes taken. If there are none now, their source is watched, unless --rate limits the
 * output. */
size_t serial_output_take(SerialOutput *o, usec_t now, uint8_t *data, size_t n);

/* Returns: whether the output has ended and everything was taken. */
static inline bool serial_output_is_over(const SerialOutput *o) {
        return o->ended && o->echo.size == 0;
}
