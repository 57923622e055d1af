/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <termios.h>

#include "basic/fd.h"
#include "terminal.h"

static struct {
        struct termios before, raw;
        volatile sig_atomic_t is_raw; /* or will be when we are in the foreground again */
} terminal;

/* The signals that end a process by default, except SIGKILL */
static const int fatal_signals[] = {
        SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,   SIGABRT, SIGSEGV, SIGBUS,  SIGFPE,
        SIGILL,  SIGTRAP, SIGSYS,  SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGXFSZ, SIGUSR1,
        SIGUSR2, SIGIO,
};

/* Everything up to on_continue() may run in a signal handler. */

static bool is_in_background(void) {
        pid_t foreground = tcgetpgrp(STDIN_FILENO);

        /* It fails on a terminal that is not our controlling terminal, which then cannot stop us either. */
        return foreground >= 0 && foreground != getpgrp();
}

static void apply(const struct termios *t) {
        int saved_errno = errno;

        if (!is_in_background())
                (void) tcsetattr(STDIN_FILENO, TCSANOW, t);

        errno = saved_errno;
}

static void on_fatal(int signal_number) {
        if (terminal.is_raw)
                apply(&terminal.before);

        /* SA_RESETHAND has restored the default action. */
        raise(signal_number);
}

static void on_stop(int signal_number);

static void handle_stop(void) {
        struct sigaction action = {.sa_handler = on_stop,
                                   .sa_flags = SA_RESTART | SA_NODEFER | SA_RESETHAND};

        sigemptyset(&action.sa_mask);
        (void) sigaction(SIGTSTP, &action, NULL);
}

static void on_stop(int signal_number) {
        int saved_errno = errno;

        if (terminal.is_raw)
                apply(&terminal.before);

        raise(signal_number);

        /* Continued. An orphaned process group is never stopped here, and gets no SIGCONT. */
        handle_stop();
        if (terminal.is_raw)
                apply(&terminal.raw);
        errno = saved_errno;
}

static void on_continue(_unused_ int signal_number) {
        if (terminal.is_raw)
                apply(&terminal.raw);
}

/* Signals that were ignored when we were started stay ignored. */
static bool is_ignored(int signal_number) {
        struct sigaction action;

        return sigaction(signal_number, NULL, &action) >= 0 && action.sa_handler == SIG_IGN;
}

static void handle_signals(void) {
        struct sigaction fatal = {.sa_handler = on_fatal, .sa_flags = SA_NODEFER | SA_RESETHAND},
                         go_on = {.sa_handler = on_continue, .sa_flags = SA_RESTART};

        sigemptyset(&fatal.sa_mask);
        sigemptyset(&go_on.sa_mask);

        for (size_t i = 0; i < ELEMENTSOF(fatal_signals); i++)
                if (!is_ignored(fatal_signals[i]))
                        (void) sigaction(fatal_signals[i], &fatal, NULL);

        (void) sigaction(SIGCONT, &go_on, NULL);
        if (!is_ignored(SIGTSTP))
                handle_stop();
}

bool terminal_is_there(void) {
        return isatty(STDIN_FILENO);
}

int terminal_make_raw(void) {
        static bool is_prepared = false;

        if (terminal.is_raw)
                return 0;

        if (!is_prepared) {
                if (tcgetattr(STDIN_FILENO, &terminal.before) < 0)
                        return -errno;

                terminal.raw = terminal.before;
                cfmakeraw(&terminal.raw);
                terminal.raw.c_cc[VMIN] = 1;
                terminal.raw.c_cc[VTIME] = 0;

                handle_signals();
                (void) atexit(terminal_restore);
                is_prepared = true;
        }

        terminal.is_raw = true;
        apply(&terminal.raw);
        return 0;
}

void terminal_restore(void) {
        if (!terminal.is_raw)
                return;

        apply(&terminal.before);
        terminal.is_raw = false;
}

bool terminal_is_raw(void) {
        return terminal.is_raw;
}

void terminal_suspend(void) {
        (void) kill(0, SIGTSTP);
}

void terminal_write(int fd, const char *text) {
        bool raw = terminal.is_raw && isatty(fd);

        while (*text) {
                size_t n = strcspn(text, "\n");

                (void) fd_write_all(fd, text, n);
                text += n;
                if (*text) {
                        (void) fd_write_all(fd, raw ? "\r\n" : "\n", raw ? 2 : 1);
                        text++;
                }
        }
}
