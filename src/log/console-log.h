/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "console/concentrator.h"

/*
 * ConsoleLog: what consoles say, to the journal and to files. It observes the concentrator, and on its loop
 * does no more than to hand what it hears to the threads of JournalSink and FileSink. A VM that has said
 * nothing costs nothing but a pointer.
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

/* Tells that console_log_error() has changed. In the event loop. */
typedef void (*ConsoleLogHandler)(void *userdata);

/* Takes over what @settings points to. */
int console_log_new(Concentrator *concentrator, ConsoleLogSettings *settings, ConsoleLogHandler changed, void *userdata,
                    ConsoleLog **ret);

/* To be called before the concentrator goes. Waits for what is still to be written, but not for ever. */
ConsoleLog *console_log_free(ConsoleLog *l);
DEFINE_TRIVIAL_CLEANUP_FUNC(ConsoleLog *, console_log_free);

/* Returns: 0, or a negative errno while consoles cannot be logged to files. */
int console_log_error(const ConsoleLog *l);

/* New settings; takes over what @settings points to. */
void console_log_set_settings(ConsoleLog *l, ConsoleLogSettings *settings);

/* Files may have been rotated away: they are opened anew. */
void console_log_reopen(ConsoleLog *l);
