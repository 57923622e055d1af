/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

/*
 * HelperProcess: a helper process of vspcd's, vspc-hooks or vspc-logger, from main() on: it has no arguments but --help and
 * --version, takes over the socket at which systemd listens for vspcd, and serves there until a signal ends it. vspcd's end is
 * Helper.
 */
typedef struct HelperProcess {
        const char *name; /* of the program */
        const char *help; /* what --help shows */

        /* Makes the server of the listening socket @fd, which now belongs to the server. Returns: 0 or a negative errno. */
        int (*start)(sd_event *loop, int fd, void **ret_server);
        void (*end)(void *server);

        /* Handle signals as service_handle_signals() says. Their userdata is the server. */
        sd_event_signal_handler_t on_stop, on_reload;
} HelperProcess;

/* Runs the process and ends it. */
void helper_process_main(const HelperProcess *p, int argc, char *argv[]) __attribute__((noreturn));
