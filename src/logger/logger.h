/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Logger: vspc-logger, which writes the output of consoles to the journal and to files for vspcd. It is a separate process
 * because a blocked disk or journal must not delay vspcd, because vspcd must not be able to write to /var/log, and because the
 * journal shows entries with the unit that has sent them: the output of consoles would hide the messages of vspcd.
 *
 * Each connection is for one sink and has a thread while it lasts. Connections for the same sink are served one after another,
 * for example if vspcd is restarted before all output of its predecessor has been written.
 */
typedef struct Logger Logger;

/* Threads, and so the maximum of connections at the same time; further ones wait. */
#define LOGGER_CONNECTIONS_MAX 8U

/* @fd: a listening socket, non-blocking, which is closed with the logger, and if this fails. @folder: see file_sink_new();
 * NULL: there are no files. Returns: 0 or a negative errno. */
int logger_new(int fd, const char *folder, Logger **ret);

/* Waits up to two seconds for what is being written. Threads that do not end use the logger until the process exits
 * (worker_leave_process()). Returns: NULL. */
Logger *logger_free(Logger *l);

/* Closes all files, so that they are opened again under their present names. */
void logger_reopen(Logger *l);
