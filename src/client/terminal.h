/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * The terminal at the standard input, raw for as long as somebody is attached. However the process ends it
 * is as before afterwards, as long as the process has a say: at exit(), at abort(), at any signal that kills
 * it, and while it is stopped. There is one, and signal handlers must find it: no object, but the process's.
 *
 * In the background it is left alone: then it is somebody else's.
 */
bool terminal_is_there(void);

/* Returns: 0 or a negative errno. */
int terminal_make_raw(void);
void terminal_restore(void);

/* Stops our process group, as ^Z does where it is not raw. Returns when it goes on. */
void terminal_suspend(void);

/* Writes text in which lines end with LF to @fd, as lines even if that is our terminal while it is raw. */
void terminal_write(int fd, const char *text);
