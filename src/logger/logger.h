/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

/*
 * Logger: vspc-logger, which writes what consoles say to the journal and to files, for vspcd. vspcd may neither write to
 * /var/log nor be kept by a disk or a journal, and in the journal an entry belongs to the unit that has sent it: what consoles
 * say must not hide what happens to vspcd.
 *
 * Each connection is for one sink and has a thread. If several are for the same sink, as when vspcd has been started anew before
 * all that the one before it has said is written, they are served one after another.
 */
typedef struct Logger Logger;

/* Connections at a time; further ones wait. */
#define LOGGER_CONNECTIONS_MAX 8U

/* @fd: a listening socket, which is closed with the logger, and if this fails. @folder: see file_sink_new(); NULL: there are no
 * files. Returns: 0 or a negative errno. */
int logger_new(sd_event *loop, int fd, const char *folder, Logger **ret);

/* Waits for what is being written, but not for ever. Returns: NULL if all has come to an end; else threads still use it, and the
 * process is to exit. */
Logger *logger_free(Logger *l);

/* Files may have been moved away: they are opened anew. */
void logger_reopen(Logger *l);
