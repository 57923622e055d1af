/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log-reader.h"
#include "transport/helper.h"

/*
 * LogSender: the connection to vspc-logger for one sink, the journal or files. It sends the output of all readers in its
 * backlog, in turns, until the socket is full; the rest stays in the rings of the consoles. Nothing waits for it.
 *
 * If the connection is lost, it reconnects at once, but not within 200 ms of the last attempt, and sends everything again that
 * has not been acknowledged. While vspc-logger cannot be reached, it tries every five seconds.
 */
typedef struct LogSender LogSender;

/* Called in the event loop when log_sender_error() has changed. */
typedef void (*LogSenderHandler)(void *userdata);

/* The socket is $VSPC_LOGGER_SOCKET, by default /run/vspc/logger.socket. Does not connect yet. @released: see LogBacklog.
 * Returns: 0 or a negative errno. */
int log_sender_new(sd_event *loop, LogKind kind, void (*released)(LogReader *r), LogSenderHandler changed, void *userdata,
                   LogSender **ret);

/* There must be no readers any more. Returns: NULL. */
LogSender *log_sender_free(LogSender *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(LogSender *, log_sender_free);

LogBacklog *log_sender_backlog(LogSender *s);

/* Must be called when readers have something to send. It is sent within a few milliseconds, together with other output; after
 * wake_now(), in the next iteration of the loop. */
void log_sender_wake(LogSender *s);
void log_sender_wake_now(LogSender *s);

/* For use after the event loop has ended: sends, and waits for an acknowledgement until @deadline at most. Returns: whether
 * everything has been acknowledged or nothing more can be sent. */
bool log_sender_drain(LogSender *s, usec_t deadline);

/* Returns: 0; the negative errno with which vspc-logger cannot be reached; or the one with which it cannot write. */
int log_sender_error(const LogSender *s);
bool log_sender_is_unreachable(const LogSender *s);
