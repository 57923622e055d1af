/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log-reader.h"
#include "transport/helper.h"

/*
 * LogSender: vspcd's connection to vspc-logger for one sink, the journal or files. It sends what the readers of its backlog have,
 * one after another, as long as the socket takes it; the rest stays in the consoles' rings. Nothing waits for it.
 *
 * If the connection ends it is made again at once, or 200 ms after the last time, and what has not been acknowledged is sent
 * again. As long as vspc-logger cannot be reached, that is tried every five seconds.
 */
typedef struct LogSender LogSender;

/* Tells that log_sender_error() has changed. In the event loop. */
typedef void (*LogSenderHandler)(void *userdata);

/* The socket is $VSPC_LOGGER_SOCKET, or else /run/vspc/logger.socket; it is not connected to yet. @released: see LogBacklog.
 * Returns: 0 or a negative errno. */
int log_sender_new(sd_event *loop, LogKind kind, void (*released)(LogReader *r), LogSenderHandler changed, void *userdata,
                   LogSender **ret);

/* There must be no readers any more. Returns: NULL. */
LogSender *log_sender_free(LogSender *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(LogSender *, log_sender_free);

LogBacklog *log_sender_backlog(LogSender *s);

/* Readers have something to send: it is sent soon, together with what else there is by then; if it is urgent, as soon as the
 * loop comes round. */
void log_sender_wake(LogSender *s, bool urgent);

/* Waits until all that readers have is acknowledged, but not beyond @deadline. The loop does not run any more. Returns: whether
 * there is nothing (more) to wait for. */
bool log_sender_drain(LogSender *s, usec_t deadline);

/* Returns: 0; the negative errno for which vspc-logger cannot be reached; or that with which the disk has refused what came
 * last, of whatever VM. */
int log_sender_error(const LogSender *s);
bool log_sender_is_unreachable(const LogSender *s);
