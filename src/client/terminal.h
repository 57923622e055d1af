/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * The terminal at the standard input, which is in raw mode while attached to a console. Its settings are restored
 * when the process ends (exit(), abort(), any signal but SIGKILL) and while it is stopped. This is a global object,
 * because signal handlers use it.
 *
 * While the process is in the background, the terminal belongs to another process and is not changed.
 */
bool terminal_is_there(void);

/* Returns: 0 or a negative errno. */
int terminal_make_raw(void);
void terminal_restore(void);
bool terminal_is_raw(void);

/* Stops our process group, as ^Z does on a terminal that is not raw. Returns once it is continued. */
void terminal_suspend(void);

/* Writes text with LF at the ends of lines to @fd; with CR LF if @fd is our terminal in raw mode. */
void terminal_write(int fd, const char *text);
