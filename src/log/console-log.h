/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "console/concentrator.h"

/*
 * ConsoleLog: sends the output of consoles to vspc-logger, which writes it to the journal and to files. It observes the
 * concentrator. There is a LogSender for each sink, and a console with output has a LogReader for each sink. A VM without
 * output only needs a pointer.
 */
typedef struct ConsoleLog ConsoleLog;

/* [ConsoleLog] of vspc.conf(5) */
typedef struct ConsoleLogSettings {
        bool journal, files;
        char *prefix; /* NULL: none */
        mode_t mode;
} ConsoleLogSettings;

void console_log_settings_init(ConsoleLogSettings *s);
void console_log_settings_done(ConsoleLogSettings *s);

/* Tells that console_log_problem() has changed. In the event loop. */
typedef void (*ConsoleLogHandler)(void *userdata);

/* Takes over what @settings points to. */
int console_log_new(Concentrator *concentrator, ConsoleLogSettings *settings, ConsoleLogHandler changed, void *userdata,
                    ConsoleLog **ret);

/* To be called before the concentrator goes. Waits for what is still to be logged, but not for ever. */
ConsoleLog *console_log_free(ConsoleLog *l);
DEFINE_TRIVIAL_CLEANUP_FUNC(ConsoleLog *, console_log_free);

/* Returns: "consoles are not logged" or the like, and why that is, as an errno; NULL: they are. */
const char *console_log_problem(const ConsoleLog *l, int *ret_error);

/* New settings; takes over what @settings points to. */
void console_log_set_settings(ConsoleLog *l, ConsoleLogSettings *settings);
