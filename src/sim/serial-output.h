/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/buffer.h"
#include "guest-program.h"
#include "remote-guest.h"
#include "sim-options.h"

/*
 * SerialOutput: what a VM's guest writes to its serial port: numbered lines, a file, what a program or a machine
 * elsewhere says, and what clients have typed if it is to be echoed. One sequence of bytes, taken from piece by piece by
 * whichever connection the VM has.
 */
#define SERIAL_OUTPUT_NAME 20U /* bytes of the VM's name in each line */

typedef struct SerialOutput {
        const SimOptions *options;
        uint8_t name[SERIAL_OUTPUT_NAME]; /* padded with spaces */
        GuestProgram *program;   /* borrowed */
        RemoteGuest *remote;     /* borrowed */
        int source_fd;           /* borrowed */
        Watch *source_watch;     /* borrowed; NULL: a file, which is read at our own offset */
        Poller *poller;

        Buffer echo;
        uint64_t offset;         /* bytes taken, echo not counted */
        usec_t since;            /* the allowance was reckoned up then; 0: not yet */
        uint64_t allowance;      /* bytes that --rate permits, up to then */
        bool ended;              /* --source or --bytes: there will be no more */
} SerialOutput;

/* Bytes of echo that may wait to be taken before the guest stops reading. */
#define SERIAL_OUTPUT_ECHO_HIGH 65536U

/* @name: the VM's. */
void serial_output_init(SerialOutput *o, const SimOptions *options, const char *name);
void serial_output_done(SerialOutput *o);

/* Returns: how many bytes there are now. If there are none, what they come from is watched, unless it is
 * time that brings them. */
size_t serial_output_take(SerialOutput *o, usec_t now, uint8_t *data, size_t n);

/* Whether all has been taken that there ever will be. */
static inline bool serial_output_is_over(const SerialOutput *o) {
        return o->ended && o->echo.size == 0;
}
