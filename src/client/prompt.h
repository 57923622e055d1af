/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Prompt: the escape menu of a Session. It decides which keys go to the console and which to the prompt, edits the
 * line of the prompt (the terminal is in raw mode), and executes its commands. Its output goes to the terminal, not
 * to the standard error.
 */
typedef struct Session Session;

/* The maximum length of a line; further characters are discarded with a bell. */
#define PROMPT_LINE_MAX 200U

typedef struct Prompt {
        char line[PROMPT_LINE_MAX + 1];
        size_t size;
} Prompt;

/* Handles keys from the terminal. */
void prompt_keys(Session *s, const uint8_t *keys, size_t n);

/* Shows the prompt and its line again, after something else was written. */
void prompt_show(const Session *s);

/* Ends the line of the prompt, if it is open, before what is shown at the end. */
void prompt_abandon(Session *s);
