/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest.h"
#include "transport/poller.h"

/*
 * GuestProgram: a command that plays the guest at a serial port (--exec). It lives as long as its VM does,
 * whatever becomes of the VM's connections, and begins anew a second after it has ended, as a guest that is
 * rebooted does.
 *
 * Nothing is read from it but what somebody wants: a program whose output nobody takes waits.
 */
typedef struct GuestProgram GuestProgram;

typedef enum GuestProgramFlags {
        GUEST_PROGRAM_PIPE = 1 << 0, /* pipes, 8-bit clean, instead of a pty */
        GUEST_PROGRAM_ONCE = 1 << 1, /* does not begin anew */
} GuestProgramFlags;

int guest_program_new(Poller *poller, const char *command, GuestProgramFlags flags,
                      const GuestHandler *handler, void *userdata, GuestProgram **ret);

/* Tells it to end; guest_program_free() waits for that, though not for long. */
void guest_program_hang_up(GuestProgram *p);
GuestProgram *guest_program_free(GuestProgram *p);

/* Returns: how many bytes it has written, 0 if there are none now. */
size_t guest_program_read(GuestProgram *p, uint8_t *data, size_t n);

/* Returns: how many bytes it has taken; if not all, writable() is called once it takes more. A program that has ended for
 * good takes everything and ignores it. */
size_t guest_program_write(GuestProgram *p, const uint8_t *data, size_t n);
