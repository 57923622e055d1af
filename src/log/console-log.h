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
        mode_t mode;  /* of new files */
} ConsoleLogSettings;

void console_log_settings_init(ConsoleLogSettings *s);
void console_log_settings_done(ConsoleLogSettings *s);

/* Called in the event loop when console_log_problem() may have changed */
typedef void (*ConsoleLogHandler)(void *userdata);

/* Takes over the content of @settings. Returns: 0 or -ENOMEM. */
int console_log_new(Concentrator *concentrator, ConsoleLogSettings *settings, ConsoleLogHandler changed, void *userdata,
                    ConsoleLog **ret);

/* Must be called before the concentrator is freed. Waits two seconds at most until all output has been logged. Returns: NULL.
 * */
ConsoleLog *console_log_free(ConsoleLog *l);
DEFINE_TRIVIAL_CLEANUP_FUNC(ConsoleLog *, console_log_free);

/* Returns: "consoles cannot be logged" or the like, and *ret_error: the reason, a negative errno; NULL if there is no problem.
 * */
const char *console_log_problem(const ConsoleLog *l, int *ret_error);

/* Changes the settings; takes over the content of @settings. */
void console_log_set_settings(ConsoleLog *l, ConsoleLogSettings *settings);
