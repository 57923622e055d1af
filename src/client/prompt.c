/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "prompt.h"

#define CONTROL(letter) ((letter) & 0x1f)

/* A beginning of a command will do: of those that it fits the first is meant. */
static const struct {
        const char *name;
        PromptCommand command;
} commands[] = {
        {"continue", PROMPT_CONTINUE},
        {"quit", PROMPT_QUIT},
        {"print-escape", PROMPT_PRINT_ESCAPE},
        {"break", PROMPT_BREAK},
        {"info", PROMPT_INFO},
        {"clear", PROMPT_CLEAR},
        {"suspend", PROMPT_SUSPEND},
        {"z", PROMPT_SUSPEND},
        {"help", PROMPT_HELP},
        {"?", PROMPT_HELP},
};

const char *prompt_help(void) {
        return "quit          end vspc-client\n"
               "continue      go back to the console, as Enter does\n"
               "print-escape  send the escape character to the VM\n"
               "break         send a break to the VM\n"
               "info          show what is known about the VM\n"
               "clear         disconnect all clients of the VM, this one too\n"
               "suspend       stop vspc-client, as ^Z does here\n"
               "help          show this\n"
               "The beginning of a command is enough.\n";
}

void prompt_begin(Prompt *p) {
        *p = (Prompt){};
}

static PromptCommand prompt_command(const Prompt *p) {
        const char *word = p->line + strspn(p->line, " ");
        size_t n = strcspn(word, " ");

        if (n == 0)
                return PROMPT_CONTINUE;

        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (strncmp(commands[i].name, word, n) == 0)
                        return commands[i].command;

        return PROMPT_UNKNOWN;
}

static const char *prompt_insert(Prompt *p, uint8_t key) {
        if (key < 0x20 || key >= 0x7f)
                return "";
        if (p->size == PROMPT_LINE_MAX)
                return "\a";

        p->line[p->size++] = (char) key;
        p->echo[0] = (char) key;
        p->echo[1] = 0;
        return p->echo;
}

static const char *prompt_erase(Prompt *p, size_t n) {
        char *end = p->echo;

        *end = 0;
        for (n = MIN(n, p->size); n > 0; n--) {
                p->line[--p->size] = 0;
                end = stpcpy(end, "\b \b");
        }

        return p->echo;
}

PromptCommand prompt_key(Prompt *p, uint8_t key, const char **ret_echo) {
        *ret_echo = "\n";

        switch (key) {

        case '\r':
        case '\n':
                return prompt_command(p);

        case CONTROL('C'):
                return PROMPT_CONTINUE;

        case CONTROL('D'):
                if (p->size == 0)
                        return PROMPT_QUIT;
                break;

        case CONTROL('Z'):
                return PROMPT_SUSPEND;

        case CONTROL('U'):
                *ret_echo = prompt_erase(p, p->size);
                return PROMPT_TYPING;

        case 0x7f:
        case '\b':
                *ret_echo = prompt_erase(p, 1);
                return PROMPT_TYPING;

        default:
                break;
        }

        *ret_echo = prompt_insert(p, key);
        return PROMPT_TYPING;
}
