/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest.h"
#include "transport/poller.h"

/*
 * GuestProgram: a command that simulates the guest at a serial port (--exec). It runs as long as its VM exists,
 * independently of the VM's connections, and is started again one second after it has ended, like a guest that
 * reboots.
 *
 * It is only read when the owner asks for output: otherwise the program blocks.
 */
typedef struct GuestProgram GuestProgram;

typedef enum GuestProgramFlags {
        GUEST_PROGRAM_PIPE = 1 << 0, /* pipes, 8-bit clean, instead of a pty */
        GUEST_PROGRAM_ONCE = 1 << 1, /* do not start it again */
} GuestProgramFlags;

int guest_program_new(Poller *poller, const char *command, GuestProgramFlags flags,
                      const GuestHandler *handler, void *userdata, GuestProgram **ret);

/* Asks the program to end. guest_program_free() waits for this for a short time. */
void guest_program_hang_up(GuestProgram *p);
GuestProgram *guest_program_free(GuestProgram *p);

/* Returns: the number of bytes read from the program, 0 if there are none now. */
size_t guest_program_read(GuestProgram *p, uint8_t *data, size_t n);

/* Returns: the number of bytes that the program has taken. If not all, writable() is called when it takes more. If
 * the program has ended and will not be started again, everything is taken and ignored. */
size_t guest_program_write(GuestProgram *p, const uint8_t *data, size_t n);
