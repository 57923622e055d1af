/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "notifier.h"

/*
 * Service: the frame of our daemons: the event loop, the Notifier, the handlers of signals, and the thread that writes the log.
 * Functions that return an int return 0, or a negative errno after they have logged it.
 */
typedef struct Service {
        sd_event *loop;
        Notifier *notifier;
} Service;

/* Blocks signals, so that the loop handles them, and starts the logging thread, which log_stop_worker() ends. Call it before
 * other threads are created. */
void service_prepare(void);

int service_init(Service *s);
void service_done(Service *s);

/* @stop: handles SIGTERM and SIGINT; NULL: they end the loop. @reload: handles SIGHUP; NULL: @stop does. @userdata: theirs. */
int service_handle_signals(Service *s, sd_event_signal_handler_t stop, sd_event_signal_handler_t reload, void *userdata);

/* Tells systemd that the service is ready, runs the loop until it ends, and tells systemd that the service stops. */
int service_run(Service *s);
