/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GuestHandler: how a GuestProgram or a RemoteGuest calls back the VM at whose serial port it is. */
typedef struct GuestHandler {
        void (*readable)(void *userdata); /* there is output again, after reading has returned 0 */
        void (*writable)(void *userdata); /* it takes more input again */
} GuestHandler;
