/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Messages of vspc-client on the standard error, of any length, with the prefix "vspc-client: ". They can contain
 * names from the network, so all characters that could act on a terminal are replaced.
 */

/* Shows a message of one line; newlines in it are replaced, too. */
void message(const char *format, ...) _printf_(1, 2);

/* The same about @error, which may be positive or negative; %m is its text. Returns: the negative errno. */
int complain(int error, const char *format, ...) _printf_(2, 3);

/* Show a message of several lines, without a newline at the end. @text: NULL if memory was short. */
void message_lines(const char *text);
int complain_lines(int error, const char *text);

/* Returns: a copy of @text in which all characters are replaced that could act on a terminal, except newlines, to
 * be freed; NULL if memory is short. */
char *message_clean(const char *text);
