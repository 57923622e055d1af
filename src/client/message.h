/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Messages: what vspc-client itself says, on the standard error behind "vspc-client: ". They may be of any length. A
 * terminal may be there: whatever could act on it is replaced, for names in a message are chosen by others.
 */

/* One line: line ends in it are replaced, too. */
void message(const char *format, ...) _printf_(1, 2);

/* The same, about @error, whose text is %m. Returns: -@error, which may be negative already. */
int complain(int error, const char *format, ...) _printf_(2, 3);

/* Lines, without the last one's end. @text: NULL if there was no memory for it. */
void message_lines(const char *text);
int complain_lines(int error, const char *text);

/* A copy of @text with everything replaced but its line ends that could act on a terminal; to be freed. NULL if memory
 * is short. */
char *message_clean(const char *text);
