/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "console/access.h"
#include "inventory.h"
#include "refusal.h"
#include "session.h"
#include "terminal.h"

#define PROMPT_TEXT "vspc> "

#define CONTROL(letter) ((letter) & 0x1f)

typedef enum PromptCommand {
        PROMPT_TYPING, /* the line is not complete */
        PROMPT_CONTINUE,
        PROMPT_QUIT,
        PROMPT_PRINT_ESCAPE,
        PROMPT_BREAK,
        PROMPT_INFO,
        PROMPT_WHO,
        PROMPT_SAY,
        PROMPT_ACCESS,
        PROMPT_FORCE,
        PROMPT_CLEAR,
        PROMPT_SUSPEND,
        PROMPT_HELP,
        PROMPT_UNKNOWN,
} PromptCommand;

/* An abbreviation means the first command that begins with it. */
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
        {"who", PROMPT_WHO},
        {"say", PROMPT_SAY},
        {"access", PROMPT_ACCESS},
        {"force", PROMPT_FORCE},
};

static const char help[] =
        "quit          end vspc-client\n"
        "continue      go back to the console, as Enter does\n"
        "print-escape  send the escape character to the VM\n"
        "break         send a break to the VM\n"
        "info          show what is known about the VM\n"
        "who           show who is attached\n"
        "say TEXT      tell them something; the VM does not get it\n"
        "access MODE   change your access: exclusive, write, free-for-all, free-for-all-fallback or\n"
        "              read-only\n"
        "force [MODE]  the same, and take over from those who are in the way (default: write)\n"
        "clear         disconnect all clients of the VM, this one too\n"
        "suspend       stop vspc-client, as ^Z does here\n"
        "help          show this\n"
        "Commands can be abbreviated.\n";

/* Shows the answer to a command on the terminal. */
static int dialogue_fd(void) {
        return isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO;
}

static void echo(const char *text) {
        terminal_write(dialogue_fd(), text);
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

/* What follows the command's name */
static const char *prompt_argument(const Prompt *p) {
        const char *word = p->line + strspn(p->line, " ");

        word += strcspn(word, " ");
        return word + strspn(word, " ");
}

static void prompt_insert(Prompt *p, uint8_t key) {
        if (key < 0x20 || key >= 0x7f)
                return;

        if (p->size == PROMPT_LINE_MAX) {
                echo("\a");
                return;
        }

        p->line[p->size++] = (char) key;
        echo((const char[]){(char) key, 0});
}

static void prompt_erase(Prompt *p, size_t n) {
        for (n = MIN(n, p->size); n > 0; n--) {
                p->line[--p->size] = 0;
                echo("\b \b");
        }
}

/* Edits the line. Returns: the command at the end of the line. */
static PromptCommand prompt_edit(Prompt *p, uint8_t key) {
        switch (key) {

        case '\r':
        case '\n':
                return prompt_command(p);

        case CONTROL('C'):
                return PROMPT_CONTINUE;

        case CONTROL('D'):
                return p->size == 0 ? PROMPT_QUIT : PROMPT_TYPING;

        case CONTROL('Z'):
                return PROMPT_SUSPEND;

        case CONTROL('U'):
                prompt_erase(p, p->size);
                return PROMPT_TYPING;

        case 0x7f:
        case '\b':
                prompt_erase(p, 1);
                return PROMPT_TYPING;

        default:
                prompt_insert(p, key);
                return PROMPT_TYPING;
        }
}

void prompt_show(const Session *s) {
        echo(PROMPT_TEXT);
        echo(s->prompt.line);
}

static void prompt_open(Session *s) {
        output_hold(&s->output);
        s->prompting = true;
        s->prompt = (Prompt){};
        echo("\n");
        prompt_show(s);
}

void prompt_abandon(Session *s) {
        if (TAKE(s->prompting, false))
                echo("\n");
}

static void prompt_close(Session *s) {
        s->prompting = false;
        output_release(&s->output);
        session_update_reading(s);
}

static void prompt_type(Session *s, const void *keys, size_t n) {
        if (connection_send(&s->connection, keys, n) < n)
                echo("\a");
}

/* Shows the prompt again after the answer to a command. */
static void prompt_answer(Session *s, const char *text) {
        echo(text);
        s->prompt = (Prompt){};
        prompt_show(s);
}

/* Prints what is known about the VM. Returns: 0 or a negative errno, as both. */
static int prompt_info(FILE *f, Connection *c, const Session *s) {
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch(c, s->vm, INVENTORY_ASIDE_MAX, &vms);
        if (r >= 0)
                show_vm(f, json_array_get(vms, 0), connection_users(c));

        return r;
}

static int prompt_clear(FILE *f, Connection *c, const Session *s) {
        _cleanup_reply_ VarlinkReply reply = {};
        uint64_t n = 0;

        int r = connection_ask(c, "Clear", json_pack("{s:s}", "vm", s->vm), &reply);
        if (r < 0)
                return r;

        (void) json_get_number(reply.parameters, "disconnected", &n);
        fprintf(f, "%" PRIu64 " client%s disconnected, including this one.\n", n, n == 1 ? "" : "s");
        return 0;
}

static int prompt_who(FILE *f, Connection *c, const Session *s) {
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch(c, s->vm, INVENTORY_ASIDE_MAX, &vms);
        if (r < 0)
                return r;

        const json_t *clients = json_object_get(json_array_get(vms, 0), "clients");
        for (size_t i = 0; i < json_array_size(clients); i++) {
                const json_t *client = json_array_get(clients, i);
                uint64_t id = 0;

                (void) json_get_number(client, "id", &id);
                fprintf(f, "%" PRIu64 ": ", id);
                print_holder(f, client, connection_users(c));
                fputs(id == s->client ? ", this is you\n" : "\n", f);
        }

        return 0;
}

static int prompt_say(FILE *f, Connection *c, const Session *s) {
        _cleanup_reply_ VarlinkReply reply = {};
        uint64_t n = 0;

        int r = connection_ask(c, "Say", json_pack("{s:s, s:s}", "vm", s->vm, "text", prompt_argument(&s->prompt)), &reply);
        if (r < 0)
                return r;

        (void) json_get_number(reply.parameters, "heard", &n);
        fprintf(f, "%" PRIu64 " client%s told.\n", n, n == 1 ? "" : "s");
        return 0;
}

/* The answer comes as a notice on the console. */
static int prompt_set_access(FILE *f, Connection *c, const Session *s, bool force) {
        _cleanup_reply_ VarlinkReply reply = {};
        const char *mode = prompt_argument(&s->prompt);
        AccessMode access;

        if (!*mode && force)
                mode = "write";
        if (access_mode_from_string(mode, &access) < 0) {
                fputs("Access can be " ACCESS_MODES_TEXT ".\n", f);
                return 0;
        }

        return connection_ask(c, "SetAccess", json_pack("{s:s, s:I, s:s, s:b}", "vm", s->vm, "client", (json_int_t) s->client,
                                                        "access", access_mode_to_string(access), "force", (int) force), &reply);
}

static int prompt_access(FILE *f, Connection *c, const Session *s) {
        return prompt_set_access(f, c, s, false);
}

static int prompt_force(FILE *f, Connection *c, const Session *s) {
        return prompt_set_access(f, c, s, true);
}

/* Calls vspcd on a separate connection. The console waits meanwhile, for the time limit of one reply in total.
 * *ret_text: the text to show, to be freed; NULL if memory is short. Returns: 0 or a negative errno. */
static int prompt_ask(const Session *s, int (*ask)(FILE *f, Connection *c, const Session *s), char **ret_text) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&s->arguments->targets);
        _cleanup_free_ char *text = NULL;
        size_t size;

        FILE *f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;

        c.until_usec = now_monotonic() + CONNECTION_TIMEOUT_USEC;
        int r = ask(f, &c, s);
        if (r < 0) {
                _cleanup_free_ char *why = refusal_explain(&c, r, s->vm, REFUSAL_BRIEF);

                fprintf(f, "%s\n", why ?: "Out of memory");
        }

        if (fclose(f) == 0)
                *ret_text = TAKE_PTR(text);
        return r;
}

static void prompt_report(Session *s, int (*ask)(FILE *f, Connection *c, const Session *s)) {
        _cleanup_free_ char *text = NULL;

        (void) prompt_ask(s, ask, &text);
        prompt_answer(s, text ?: "Out of memory\n");
}

static void prompt_obey(Session *s, PromptCommand command) {
        const uint8_t escape = (uint8_t) s->arguments->escape;
        _cleanup_free_ char *text = NULL;

        switch (command) {

        case PROMPT_TYPING: /* never */
                break;

        case PROMPT_CONTINUE:
                prompt_close(s);
                break;

        case PROMPT_QUIT:
                session_finish(s);
                break;

        case PROMPT_PRINT_ESCAPE:
                prompt_close(s);
                prompt_type(s, &escape, 1);
                break;

        case PROMPT_BREAK:
                prompt_close(s);
                if (connection_send_break(&s->connection) < 0)
                        session_say(s, "No break was sent: not attached, or the VM takes no input");
                else
                        session_say(s, "Break sent to VM %s.", s->title);
                break;

        case PROMPT_INFO:
                prompt_report(s, prompt_info);
                break;

        case PROMPT_WHO:
                prompt_report(s, prompt_who);
                break;

        case PROMPT_SAY:
                prompt_report(s, prompt_say);
                break;

        case PROMPT_ACCESS:
                prompt_report(s, prompt_access);
                break;

        case PROMPT_FORCE:
                prompt_report(s, prompt_force);
                break;

        case PROMPT_CLEAR:
                if (prompt_ask(s, prompt_clear, &text) < 0) {
                        prompt_answer(s, text ?: "Out of memory\n");
                        break;
                }

                s->cleared = true;
                echo(text ?: "");
                prompt_close(s);
                break;

        case PROMPT_SUSPEND:
                terminal_suspend();
                prompt_close(s);
                break;

        case PROMPT_HELP:
                prompt_answer(s, help);
                break;

        case PROMPT_UNKNOWN:
                prompt_answer(s, "There is no such command. \"help\" lists the commands.\n");
                break;
        }
}

static void prompt_take_key(Session *s, uint8_t key) {
        PromptCommand command = prompt_edit(&s->prompt, key);

        if (command != PROMPT_TYPING) {
                echo("\n");
                prompt_obey(s, command);
        }
}

/* Keys up to the escape character go to the console, the following ones to the prompt until it is closed, and so on. */
void prompt_keys(Session *s, const uint8_t *p, size_t n) {
        while (n > 0 && session_is_going_on(s)) {
                if (s->prompting) {
                        prompt_take_key(s, *p++);
                        n--;
                        continue;
                }

                int c = s->arguments->escape;
                const uint8_t *escape = c != ESCAPE_NONE ? memchr(p, c, n) : NULL;
                size_t run = escape ? (size_t) (escape - p) : n;

                prompt_type(s, p, run);
                p += run;
                n -= run;
                if (escape && session_is_going_on(s)) {
                        p++;
                        n--;
                        prompt_open(s);
                }
        }
}
