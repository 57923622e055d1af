/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

/*
 * Notifier: tells systemd the state of the service and serves the watchdog, like sd_notify(3) and sd_event_set_watchdog(3),
 * but never blocks. While systemd does not read, the newest message of each kind is kept, and sent when there is room.
 *
 * Without $NOTIFY_SOCKET it does nothing.
 */
typedef struct Notifier Notifier;

int notifier_new(sd_event *event, Notifier **ret);
Notifier *notifier_free(Notifier *n);
DEFINE_TRIVIAL_CLEANUP_FUNC(Notifier *, notifier_free);

/* A message of these that was not sent yet is replaced by a newer one. */
void notifier_set_status(Notifier *n, const char *status);
void notifier_reloading(Notifier *n);
void notifier_ready(Notifier *n);

/* The service ends. Messages that were not sent yet are dropped. */
void notifier_stopping(Notifier *n);

/* For use without an event loop. Returns: a socket connected to systemd; -ENOTCONN without $NOTIFY_SOCKET; or another negative
 * errno. */
int notify_socket_open(void);

/* Returns: 0; -EAGAIN if systemd must read first; or another negative errno. */
int notify_socket_send(int fd, const char *message);
