/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Prompt: the half of a Session that a person at the terminal sees. It decides which keys are the console's
 * and which are the prompt's, edits the line that is typed there key by key, as a raw terminal gives them,
 * and obeys its commands. Its answers go to the terminal, not to the standard error.
 */
typedef struct Session Session;

/* Characters of a line; more are refused with a bell. */
#define PROMPT_LINE_MAX 64U

typedef struct Prompt {
        char line[PROMPT_LINE_MAX + 1];
        size_t size;
} Prompt;

/* Keys as the terminal gives them */
void prompt_keys(Session *s, const uint8_t *keys, size_t n);

/* Shows the prompt and what has been typed there again, after something else was written. */
void prompt_show(const Session *s);

/* Ends the line of the prompt, if it is open, before what is shown at the end. */
void prompt_abandon(Session *s);
