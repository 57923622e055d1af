/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>

#include "basic/fd.h"
#include "pager.h"

/* The maximum of words in SYSTEMD_PAGER */
#define PAGER_WORDS_MAX 32U

/* There is one standard output. */
static struct {
        pid_t pid;    /* 0: no pager */
        int terminal; /* the original standard output */
        int errors;   /* the original standard error; -1: it is not a terminal, and has not been changed */
} pager;

static const char *variable(const char *name) {
        const char *value = getenv(name);

        return value && *value ? value : NULL;
}

/* Whether the user wants no pager: SYSTEMD_PAGER or PAGER is "cat" or empty. */
static bool is_switched_off(void) {
        const char *name = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");

        return name && (!*name || streq(name, "cat"));
}

static bool terminal_is_dumb(void) {
        const char *terminal = variable("TERM");

        return !terminal || streq(terminal, "dumb");
}

/* Returns: whether this runs with the rights of another user than the one who logged in (for example by su or sudo), or may do
 * so. */
static bool is_elevated(void) {
        uid_t owner;

        return getenv("SUDO_UID") || sd_pid_get_owner_uid(0, &owner) < 0 || owner != geteuid();
}

/* A secure pager runs no programs and opens no files. */
static bool wants_secure_pager(void) {
        static const char *const no[] = {"0", "no", "n", "false", "f", "off"};
        const char *secure = getenv("SYSTEMD_PAGERSECURE");

        for (size_t i = 0; secure && i < ELEMENTSOF(no); i++)
                if (strcasecmp(secure, no[i]) == 0)
                        return false;

        return secure || is_elevated();
}

/* Returns only if there is no such program. */
static void run_named(const char *command) {
        _cleanup_free_ char *copy = strdup(command);
        char *words[PAGER_WORDS_MAX + 1] = {}, *rest = NULL;
        size_t n = 0;

        for (char *w = copy ? strtok_r(copy, " \t", &rest) : NULL; w && n < PAGER_WORDS_MAX; w = strtok_r(NULL, " \t", &rest))
                words[n++] = w;
        if (n > 0)
                execvp(words[0], words);
}

/* Only less is known to have a secure mode. */
static void run_known(bool secure) {
        static const char *const names[] = {"pager", "less", "more"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (!secure || streq(names[i], "less"))
                        execlp(names[i], names[i], NULL);
}

static _Noreturn void be_pager(int input) {
        bool secure = wants_secure_pager();
        const char *named = variable("SYSTEMD_PAGER") ?: variable("PAGER");

        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void) dup2(input, STDIN_FILENO);
        safe_close(input);

        (void) setenv("LESS", variable("SYSTEMD_LESS") ?: "FRSXMK", 1);
        (void) setenv("LESSCHARSET", variable("SYSTEMD_LESSCHARSET") ?: "utf-8", 1);
        if (secure)
                (void) setenv("LESSSECURE", "1", 1);
        else
                (void) unsetenv("LESSSECURE");

        if (named && getenv("SYSTEMD_PAGERSECURE"))
                run_named(named);
        run_known(secure);
        (void) fd_copy(STDIN_FILENO, STDOUT_FILENO);
        _exit(EXIT_SUCCESS);
}

/* Without its option "K", less handles ^C itself. */
static bool pager_handles_interrupt(void) {
        const char *options = variable("SYSTEMD_LESS");

        return options && !strchr(options, 'K');
}

int pager_terminal(void) {
        return pager.pid > 0 ? pager.terminal : STDOUT_FILENO;
}

/* Returns: the pager's process, which reads from *ret_input, or a negative errno. */
static pid_t start(int *ret_input) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;

        (void) fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
                be_pager(ends[0]);

        safe_close(ends[0]);
        if (pid < 0) {
                safe_close(ends[1]);
                return -EAGAIN;
        }

        *ret_input = ends[1];
        return pid;
}

void pager_open(bool wanted) {
        _cleanup_close_ int input = -1;

        if (!wanted || pager.pid > 0 || !isatty(STDOUT_FILENO) || terminal_is_dumb() || is_switched_off())
                return;

        _cleanup_close_ int terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        _cleanup_close_ int errors = isatty(STDERR_FILENO) ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1;
        pid_t pid = terminal >= 0 ? start(&input) : -errno;
        if (pid < 0)
                return;

        (void) dup2(input, STDOUT_FILENO);
        if (errors >= 0)
                (void) dup2(input, STDERR_FILENO);
        (void) signal(SIGPIPE, SIG_IGN); /* the user may leave the pager early */
        if (pager_handles_interrupt())
                (void) signal(SIGINT, SIG_IGN);
        pager.pid = pid;
        pager.terminal = TAKE_FD(terminal);
        pager.errors = TAKE_FD(errors);
}

void pager_close(void) {
        pid_t pid = TAKE(pager.pid, 0);

        if (pid == 0)
                return;

        (void) fflush(stdout);
        clearerr(stdout); /* the user did not want to see more */

        /* The pager sees the end of its input. */
        (void) dup2(pager.terminal, STDOUT_FILENO);
        if (pager.errors >= 0)
                (void) dup2(pager.errors, STDERR_FILENO);
        safe_close(pager.terminal);
        safe_close(pager.errors);

        (void) kill(pid, SIGCONT);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}
