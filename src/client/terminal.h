/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * The terminal at the standard input, which is raw while somebody is attached. Its settings are restored
 * however the process ends (exit(), abort(), any signal but SIGKILL), and while it is stopped. Signal
 * handlers need it, so this is a global object of the process.
 *
 * While the process is in the background the terminal belongs to another one, and is not touched.
 */
bool terminal_is_there(void);

/* Returns: 0 or a negative errno. */
int terminal_make_raw(void);
void terminal_restore(void);

/* Stops our process group, as ^Z does on a terminal that is not raw. Returns once it is continued. */
void terminal_suspend(void);

/* Writes text whose lines end with LF to @fd; if that is our terminal and raw, with CR LF. */
void terminal_write(int fd, const char *text);
