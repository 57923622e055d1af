/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a GuestProgram and a RemoteGuest tell the VM at whose serial port they are */
typedef struct GuestHandler {
        void (*readable)(void *userdata); /* after reading from it has returned 0 */
        void (*writable)(void *userdata); /* it takes more again of what is typed */
} GuestHandler;
