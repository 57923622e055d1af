/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "hook-process.h"

/* The size of a read, and the maximum that is read from the pipe after the hook has ended: a pipe holds 64 KiB, and a
 * process that has left the process group may continue writing. */
#define READ_SIZE 4096U
#define READ_LAST_MAX (128U * 1024U)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

static void process_close(HookProcess *p) {
        p->exit_source = sd_event_source_disable_unref(p->exit_source);
        p->output_source = sd_event_source_disable_unref(p->output_source);
        p->timer = sd_event_source_disable_unref(p->timer);
        p->pidfd = safe_close(p->pidfd);
        p->output_fd = safe_close(p->output_fd);
}

static void process_signal(const HookProcess *p, int signal) {
        /* The pid is not reused before it has been waited for. */
        (void) kill(-p->pid, signal);
}

/* Returns: the number of bytes read; 0 at the end, or if there is no data now. */
static size_t process_read(HookProcess *p) {
        char data[READ_SIZE];

        ssize_t n = read(p->output_fd, data, sizeof data);
        if (n > 0)
                hook_output_append(&p->output, data, (size_t) n);
        if (n == 0)
                p->output_source = sd_event_source_disable_unref(p->output_source);

        return n > 0 ? (size_t) n : 0;
}

static int on_output(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
                     void *userdata) {
        (void) process_read(userdata);
        return 0;
}

static void process_report(HookProcess *p, const siginfo_t *info) {
        HookOutput *o = &p->output;

        if (p->timed_out) /* and has been logged */
                return;

        if (info->si_code != CLD_EXITED)
                hook_log_failure(o->log, 0, o->path, o->event, "%s was killed by SIG%s", o->path,
                                 sigabbrev_np(info->si_status) ?: "RT");
        else if (info->si_status != 0)
                hook_log_failure(o->log, 0, o->path, o->event, "%s has failed with exit status %d", o->path,
                                 info->si_status);
}

static int on_ended(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
                    void *userdata) {
        HookProcess *p = userdata;
        siginfo_t info = {};

        process_signal(p, SIGKILL);

        for (size_t n = 0, k; n < READ_LAST_MAX && (k = process_read(p)) > 0; n += k)
                ;
        hook_output_end(&p->output);

        if (waitid(P_PIDFD, (id_t) p->pidfd, &info, WEXITED) >= 0)
                process_report(p, &info);

        process_close(p);
        p->pid = 0;
        p->handler(p);
        return 0;
}

static int on_timeout(sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        HookProcess *p = userdata;
        HookOutput *o = &p->output;

        if (p->timed_out) {
                process_signal(p, SIGKILL);
                return 0;
        }

        hook_log_failure(o->log, 0, o->path, o->event, "%s has not ended within HookTimeoutSec=, terminating it",
                         o->path);
        p->timed_out = true;
        process_signal(p, SIGTERM);
        process_signal(p, SIGCONT); /* a stopped process takes no signal */

        (void) sd_event_source_set_time_relative(source, HOOK_PROCESS_GRACE_USEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

void hook_process_kill(HookProcess *p) {
        p->timed_out = true;
        process_signal(p, SIGKILL);
}

/* Returns: a file with the event. Unlike a pipe, it needs nobody to write into it later. */
static int make_input(const char *json) {
        _cleanup_close_ int fd = memfd_create("vspc-event", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
        if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
                fd = memfd_create("vspc-event", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;

        size_t size = strlen(json);
        ssize_t n = pwrite(fd, json, size, 0);
        if (n < 0)
                return -errno;

        return (size_t) n == size ? TAKE_FD(fd) : -EIO;
}

static int make_output(int *ret_read, int *ret_write) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;

        (void) fcntl(fds[0], F_SETFL, O_NONBLOCK);
        *ret_read = fds[0];
        *ret_write = fds[1];
        return 0;
}

static int spawn(const HookCommand *command, int input, int output, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;

        int r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;

        r = posix_spawnattr_init(&attributes);
        if (r != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -r;
        }

        sigemptyset(&none);
        sigfillset(&all);
        (void) posix_spawnattr_setsigmask(&attributes, &none);
        (void) posix_spawnattr_setsigdefault(&attributes, &all);
        (void) posix_spawnattr_setflags(&attributes,
                                        POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

        if ((r = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)) == 0 &&
            (r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)) == 0 &&
            (r = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)) == 0 &&
            (r = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)) == 0 &&
            (r = posix_spawn_file_actions_addchdir_np(&actions, "/")) == 0)
                r = posix_spawn(ret, command->path, &actions, &attributes,
                                (char *const[]){(char *) command->path, NULL}, command->environment);

        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int process_watch(HookProcess *p, sd_event *loop) {
        p->pidfd = pidfd_open(p->pid, 0);
        if (p->pidfd < 0)
                return -errno;

        int r = sd_event_add_io(loop, &p->exit_source, p->pidfd, EPOLLIN, on_ended, p);
        if (r < 0)
                return r;

        r = sd_event_add_io(loop, &p->output_source, p->output_fd, EPOLLIN, on_output, p);
        if (r < 0)
                return r;

        return sd_event_add_time_relative(loop, &p->timer, CLOCK_MONOTONIC, p->timeout_usec, 0, on_timeout, p);
}

int hook_process_start(HookProcess *p, sd_event *loop, const HookCommand *command,
                       HookProcessHandler handler) {
        _cleanup_close_ int input = make_input(command->json), output = -1;
        if (input < 0)
                return input;

        *p = (HookProcess){
                .handler = handler,
                .output = {.log = command->log, .path = command->path, .event = command->event},
                .timeout_usec = command->timeout_usec,
                .pidfd = -1,
                .output_fd = -1,
        };

        int r = make_output(&p->output_fd, &output);
        if (r < 0)
                return r;

        r = spawn(command, input, output, &p->pid);
        if (r < 0) {
                p->pid = 0;
                process_close(p);
                return r;
        }

        r = process_watch(p, loop);
        if (r < 0) {
                /* It must not run without being watched. */
                process_signal(p, SIGKILL);
                (void) waitpid(p->pid, NULL, 0);
                p->pid = 0;
                process_close(p);
        }

        return r;
}
