/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Prompt: the line that is typed after the escape character, key by key as a raw terminal gives them, and
 * the command that it means. It does nothing itself.
 */
typedef enum PromptCommand {
        PROMPT_TYPING, /* the line is not complete */
        PROMPT_CONTINUE,
        PROMPT_QUIT,
        PROMPT_PRINT_ESCAPE,
        PROMPT_BREAK,
        PROMPT_INFO,
        PROMPT_CLEAR,
        PROMPT_SUSPEND,
        PROMPT_HELP,
        PROMPT_UNKNOWN,
} PromptCommand;

/* Characters of a line; more are refused with a bell. */
#define PROMPT_LINE_MAX 64U

#define PROMPT_TEXT "vspc> "

typedef struct Prompt {
        char line[PROMPT_LINE_MAX + 1];
        size_t size;
        char echo[3 * PROMPT_LINE_MAX + 1];
} Prompt;

/* A new line. */
void prompt_begin(Prompt *p);

/* *ret_echo: what to write to the terminal; valid until the next call. */
PromptCommand prompt_key(Prompt *p, uint8_t key, const char **ret_echo);

/* What "help" prints, lines that end with LF */
const char *prompt_help(void);
