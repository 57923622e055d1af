/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Messages: vspc-client's own, on the standard error and behind "vspc-client: ", of any length. Names in
 * them are chosen by strangers, so everything is replaced that could act on a terminal.
 */

/* A message of one line: line ends in it are replaced, too. */
void message(const char *format, ...) _printf_(1, 2);

/* The same about @error, of either sign; %m is its text. Returns: the negative errno. */
int complain(int error, const char *format, ...) _printf_(2, 3);

/* A message of lines, without the last one's end. @text: NULL if there was no memory for it. */
void message_lines(const char *text);
int complain_lines(int error, const char *text);

/* A copy of @text in which everything is replaced that could act on a terminal, except line ends; to be
 * freed. NULL if memory is short. */
char *message_clean(const char *text);
