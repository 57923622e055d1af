/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GuestHandler: callbacks of a GuestProgram or a RemoteGuest to its VM. */
typedef struct GuestHandler {
        void (*readable)(void *userdata); /* there is output after reading has returned 0 */
        void (*writable)(void *userdata); /* it takes more input after it has not taken all */
} GuestHandler;
