/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "basic/fd.h"
#include "bridge.h"
#include "message.h"
#include "target.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* The maximum of words on ssh's command line */
#define SSH_WORDS_MAX 16U

bool bridge_is_meant(const char *host) {
        return strchr(host, '@');
}

/* Whether @text has only such characters, and cannot be taken for an option. */
static bool is_made_of(const char *text, const char *characters) {
        return *text && *text != '-' && strspn(text, characters) == strlen(text);
}

int bridge_new(const char *host, Bridge **ret) {
        _cleanup_(bridge_freep) Bridge *b = calloc(1, sizeof(Bridge));
        const char *at = strrchr(host, '@');

        assert(at);
        if (!b)
                return complain(ENOMEM, "%m");

        b->text = strdup(host);
        b->user = at > host ? strndup(host, (size_t) (at - host)) : NULL;
        if (!b->text || (at > host && !b->user))
                return complain(ENOMEM, "%m");

        int r = target_split_port(at + 1, 0, &b->host, &b->port);
        if (r == -ENOMEM)
                return complain(r, "%m");
        if (r < 0 || !is_made_of(b->host, LETTERS "._-:%") || (b->user && !is_made_of(b->user, LETTERS "._-+@")))
                return complain(EINVAL, "--host: \"%s\" cannot be reached by ssh: USER@HOST or USER@HOST:PORT is needed.", host);

        *ret = TAKE_PTR(b);
        return 0;
}

Bridge *bridge_free(Bridge *b) {
        if (!b)
                return NULL;

        free(b->text);
        free(b->user);
        free(b->host);
        free(b);
        return NULL;
}

static _Noreturn void be_ssh(const Bridge *b, BridgePrompts prompts, int fd) {
        const char *program = getenv("SYSTEMD_SSH") ?: "ssh", *words[SSH_WORDS_MAX] = {program, "-xT"};
        char port[sizeof("65535")];
        size_t n = 2;

        if (prompts == BRIDGE_PROMPTS_NOT) {
                words[n++] = "-o";
                words[n++] = "BatchMode=yes";
        }
        if (b->port > 0) {
                snprintf(port, sizeof port, "%u", (unsigned) b->port);
                words[n++] = "-p";
                words[n++] = port;
        }
        if (b->user) {
                words[n++] = "-l";
                words[n++] = b->user;
        }
        words[n++] = "--";
        words[n++] = b->host;
        words[n++] = "vspc-client";
        words[n++] = "--stdio-bridge";
        assert(n < SSH_WORDS_MAX);

        (void) signal(SIGPIPE, SIG_DFL);
        if (dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
                execvp(program, (char **) words);
        message("Cannot run %s: %s", program, strerror(errno));
        _exit(EXIT_FAILURE);
}

/* It ends when the socket does. init waits for it, not we. */
int bridge_open(const Bridge *b, BridgePrompts prompts) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;

        _cleanup_close_ int ours = ends[0], theirs = ends[1];
        (void) fflush(NULL);
        pid_t pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                pid = fork();
                if (pid == 0)
                        be_ssh(b, prompts, theirs);
                _exit(pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }

        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (status != 0)
                return -EAGAIN;
        if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0) /* only this end: ssh expects a blocking one */
                return -errno;

        return TAKE_FD(ours);
}

/*
 * The other end
 */

/* Whatever ends first ends all of it. */
static void *copy_answers(void *userdata) {
        int fd = *(const int *) userdata;

        _exit(fd_copy(fd, STDOUT_FILENO) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

int bridge_serve(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        pthread_t thread;

        if (strlen(path) >= sizeof address.sun_path)
                return complain(ENAMETOOLONG, "%s: %m", path);
        strcpy(address.sun_path, path);

        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return complain(errno, "Cannot reach vspcd: %s: %m", path);

        int r = pthread_create(&thread, NULL, copy_answers, &fd);
        if (r != 0)
                return complain(r, "Cannot connect the standard output: %m");

        r = fd_copy(STDIN_FILENO, fd);
        return r < 0 ? complain(r, "Cannot pass on what comes: %m") : 0;
}
