/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

/*
 * Notifier: tells systemd how the service is, as sd_notify(3) does, and serves its watchdog, as sd_event_set_watchdog(3)
 * does; but it never waits for systemd. While systemd does not read, the newest message of each kind is kept, and sent as
 * soon as there is room.
 *
 * Without $NOTIFY_SOCKET all this does nothing.
 */
typedef struct Notifier Notifier;

int notifier_new(sd_event *event, Notifier **ret);
Notifier *notifier_free(Notifier *n);
DEFINE_TRIVIAL_CLEANUP_FUNC(Notifier *, notifier_free);

/* Of these, what systemd has not got is superseded by what is newer. */
void notifier_set_status(Notifier *n, const char *status);
void notifier_reloading(Notifier *n);
void notifier_ready(Notifier *n);

/* The service ends: nothing else is of interest any more. */
void notifier_stopping(Notifier *n);

/* For those that have no loop yet. Returns: a socket that is connected to systemd's, -ENOTCONN if there is none, or another
 * negative errno. */
int notify_socket_open(void);

/* Returns: 0, -EAGAIN if systemd has to read first, or another negative errno. */
int notify_socket_send(int fd, const char *message);
