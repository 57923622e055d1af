/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "aside.h"
#include "session-prompt.h"
#include "terminal.h"

/* For what a person at the terminal has asked for */
static int dialogue_fd(void) {
        return isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO;
}

void session_show_prompt(const Session *s) {
        terminal_write(dialogue_fd(), PROMPT_TEXT);
        terminal_write(dialogue_fd(), s->prompt.line);
}

static void session_open_prompt(Session *s) {
        output_hold(&s->output);
        s->prompting = true;
        prompt_begin(&s->prompt);
        terminal_write(dialogue_fd(), "\n");
        session_show_prompt(s);
}

void session_abandon_prompt(Session *s) {
        if (TAKE(s->prompting, false))
                terminal_write(dialogue_fd(), "\n");
}

static void session_close_prompt(Session *s) {
        s->prompting = false;
        output_release(&s->output);
        session_update_reading(s);
}

static void session_type(Session *s, const void *keys, size_t n) {
        if (attachment_send(&s->attachment, keys, n) < n)
                terminal_write(dialogue_fd(), "\a");
}

/* What was asked for on the side, and then the prompt again. */
static void session_show(Session *s, char *text) {
        _cleanup_free_ char *shown = text;

        terminal_write(dialogue_fd(), shown ?: "Out of memory\n");
        prompt_begin(&s->prompt);
        session_show_prompt(s);
}

static void session_clear(Session *s) {
        bool cleared;
        char *text = aside_clear(&s->arguments->targets, s->vm, &cleared);

        if (!cleared) {
                session_show(s, text);
                return;
        }

        s->cleared = true;
        terminal_write(dialogue_fd(), text ?: "");
        free(text);
        session_close_prompt(s);
}

static void session_obey(Session *s, PromptCommand command) {
        const uint8_t escape = (uint8_t) s->arguments->escape;

        switch (command) {

        case PROMPT_TYPING:
                break;

        case PROMPT_CONTINUE:
                session_close_prompt(s);
                break;

        case PROMPT_QUIT:
                session_finish(s);
                break;

        case PROMPT_PRINT_ESCAPE:
                session_close_prompt(s);
                session_type(s, &escape, 1);
                break;

        case PROMPT_BREAK:
                session_close_prompt(s);
                if (attachment_break(&s->attachment) < 0)
                        session_say(s, "No break was sent: not attached, or the VM takes no input");
                else
                        session_say(s, "Break sent to VM %s.", s->title);
                break;

        case PROMPT_INFO:
                session_show(s, aside_info(&s->arguments->targets, s->vm));
                break;

        case PROMPT_CLEAR:
                session_clear(s);
                break;

        case PROMPT_SUSPEND:
                terminal_suspend();
                session_close_prompt(s);
                break;

        case PROMPT_HELP:
                session_show(s, strdup(prompt_help()));
                break;

        case PROMPT_UNKNOWN:
                session_show(s, strdup("There is no such command; \"help\" shows those that there are.\n"));
                break;
        }
}

static void session_prompt_key(Session *s, uint8_t key) {
        const char *echo;
        PromptCommand command = prompt_key(&s->prompt, key, &echo);

        terminal_write(dialogue_fd(), echo);
        session_obey(s, command);
}

/* Up to the escape character they are the console's, then the prompt's until it is closed, and so on. */
void session_keys(Session *s, const uint8_t *p, size_t n) {
        while (n > 0 && session_is_going_on(s)) {
                if (s->prompting) {
                        session_prompt_key(s, *p++);
                        n--;
                        continue;
                }

                int c = s->arguments->escape;
                const uint8_t *escape = c != ESCAPE_NONE ? memchr(p, c, n) : NULL;
                size_t run = escape ? (size_t) (escape - p) : n;

                session_type(s, p, run);
                p += run;
                n -= run;
                if (escape && session_is_going_on(s)) {
                        p++;
                        n--;
                        session_open_prompt(s);
                }
        }
}
