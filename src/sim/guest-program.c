/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "basic/log.h"
#include "basic/parse.h"
#include "guest-program.h"

#define RESTART_USEC USEC_PER_SEC
#define HANG_UP_PATIENCE_USEC (500 * USEC_PER_MSEC)

struct GuestProgram {
        Poller *poller;
        const char *command;
        GuestProgramFlags flags;
        const GuestHandler *handler;
        void *userdata;

        Watch from, to; /* its output and its input; for a pty, two descriptors of the master */
        int slave_fd;   /* kept open while it runs, because login closes and reopens its terminal */
        pid_t pid;      /* 0: not running */
        bool over;      /* and will not be started again */
        sd_event_source *child, *restart;
};

static void close_watch(GuestProgram *p, Watch *w) {
        if (w->fd < 0)
                return;

        poller_forget(p->poller, w);
        w->fd = safe_close(w->fd);
}

static void on_from(Watch *w, _unused_ uint32_t events) {
        GuestProgram *p = container_of(w, GuestProgram, from);

        (void) poller_watch(p->poller, w, 0);
        p->handler->readable(p->userdata);
}

static void on_to(Watch *w, _unused_ uint32_t events) {
        GuestProgram *p = container_of(w, GuestProgram, to);

        (void) poller_watch(p->poller, w, 0);
        p->handler->writable(p->userdata);
}

/* Settings as made by getty, and the usual size of a serial console. */
static int open_pty(GuestProgram *p, int ret_child[static 2]) {
        static const struct winsize size = {.ws_row = 24, .ws_col = 80};
        _cleanup_close_ int master = -1, slave = -1, copy = -1, child = -1;

        if (openpty(&master, &slave, NULL, NULL, &size) < 0)
                return -errno;
        if (fcntl(master, F_SETFD, FD_CLOEXEC) < 0 || fcntl(slave, F_SETFD, FD_CLOEXEC) < 0 ||
            fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
                return -errno;

        copy = fcntl(master, F_DUPFD_CLOEXEC, 3);
        child = fcntl(slave, F_DUPFD_CLOEXEC, 3);
        if (copy < 0 || child < 0)
                return -errno;

        p->from.fd = TAKE_FD(master);
        p->to.fd = TAKE_FD(copy);
        p->slave_fd = TAKE_FD(slave);
        ret_child[0] = ret_child[1] = TAKE_FD(child);
        return 0;
}

static int open_pipes(GuestProgram *p, int ret_child[static 2]) {
        int to[2], from[2];

        if (pipe2(to, O_CLOEXEC) < 0)
                return -errno;
        if (pipe2(from, O_CLOEXEC) < 0) {
                int r = -errno;

                safe_close(to[0]);
                safe_close(to[1]);
                return r;
        }

        /* Only our ends are non-blocking: the program expects its ends to block. */
        (void) fcntl(to[1], F_SETFL, O_WRONLY | O_NONBLOCK);
        (void) fcntl(from[0], F_SETFL, O_RDONLY | O_NONBLOCK);

        p->from.fd = from[0];
        p->to.fd = to[1];
        ret_child[0] = to[0];
        ret_child[1] = from[1];
        return 0;
}

_Noreturn static void run(const GuestProgram *p, const int fds[static 2]) {
        struct rlimit files;
        sigset_t none;

        /* Programs that use select() must not get descriptors above its limit. */
        if (getrlimit(RLIMIT_NOFILE, &files) >= 0) {
                files.rlim_cur = MIN(files.rlim_max, (rlim_t) 1024);
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }

        /* Reset all signals, as in a guest that has just booted. If a script starts us in the background,
         * we ignore SIGINT and SIGQUIT; if the guest inherited this, ^C at its terminal would do nothing. */
        for (int number = 1; number < NSIG; number++)
                (void) signal(number, SIG_DFL);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) prctl(PR_SET_PDEATHSIG, SIGHUP);
        (void) setsid();

        if (!(p->flags & GUEST_PROGRAM_PIPE)) {
                (void) ioctl(fds[0], TIOCSCTTY, 0);
                (void) setenv("TERM", "vt100", 1);
                if (dup2(fds[1], STDERR_FILENO) < 0)
                        _exit(EXIT_FAILURE);
        }

        if (dup2(fds[0], STDIN_FILENO) < 0 || dup2(fds[1], STDOUT_FILENO) < 0)
                _exit(EXIT_FAILURE);

        execl("/bin/sh", "sh", "-c", p->command, (char *) NULL);
        _exit(127);
}

static void forget_processes(GuestProgram *p) {
        p->child = sd_event_source_disable_unref(p->child);
        p->slave_fd = safe_close(p->slave_fd);
        p->pid = 0;
}

static int on_restart(sd_event_source *source, usec_t usec, void *userdata);

/* Called when the process has ended and all its output has been read. */
static void maybe_restart(GuestProgram *p) {
        if (p->pid > 0 || p->from.fd >= 0)
                return;

        close_watch(p, &p->to);
        if (p->flags & GUEST_PROGRAM_ONCE)
                p->over = true;
        else if (!p->restart) {
                int r = sd_event_add_time_relative(poller_event(p->poller), &p->restart, CLOCK_MONOTONIC,
                                                   RESTART_USEC, 0, on_restart, p);
                if (r < 0) {
                        log_error_errno(r, "Cannot set a timer to start \"%s\" again: %m", p->command);
                        p->over = true;
                }
        }

        /* Tell the owner, which may wait until it can write. */
        if (p->over)
                p->handler->writable(p->userdata);
}

static int on_child(_unused_ sd_event_source *source, const siginfo_t *si, void *userdata) {
        GuestProgram *p = userdata;

        if (si->si_code == CLD_EXITED)
                log_info("\"%s\" has ended with exit status %i.", p->command, si->si_status);
        else
                log_info("\"%s\" has been ended by signal %i (%s).", p->command, si->si_status,
                         strsignal(si->si_status));

        /* Processes left in its process group would keep its output open. */
        (void) kill(-si->si_pid, SIGKILL);

        forget_processes(p);
        maybe_restart(p);
        return 0;
}

static int start(GuestProgram *p) {
        int fds[2] = {-1, -1}, r;

        r = p->flags & GUEST_PROGRAM_PIPE ? open_pipes(p, fds) : open_pty(p, fds);
        if (r < 0)
                return r;

        p->pid = fork();
        if (p->pid == 0)
                run(p, fds);

        r = p->pid < 0 ? -errno : 0;
        safe_close(fds[0]);
        if (fds[1] != fds[0])
                safe_close(fds[1]);
        if (r < 0) {
                p->pid = 0;
                return r;
        }

        return sd_event_add_child(poller_event(p->poller), &p->child, p->pid, WEXITED, on_child, p);
}

static int on_restart(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        GuestProgram *p = userdata;

        p->restart = sd_event_source_disable_unref(p->restart);

        int r = start(p);
        if (r < 0) {
                log_error_errno(r, "Cannot start \"%s\" again: %m", p->command);
                close_watch(p, &p->from);
                p->over = true;
        }

        p->handler->readable(p->userdata);
        p->handler->writable(p->userdata);
        return 0;
}

int guest_program_new(Poller *poller, const char *command, GuestProgramFlags flags,
                      const GuestHandler *handler, void *userdata, GuestProgram **ret) {
        GuestProgram *p = malloc(sizeof(GuestProgram));
        if (!p)
                return -ENOMEM;

        *p = (GuestProgram){
                .poller = poller,
                .command = command,
                .flags = flags,
                .handler = handler,
                .userdata = userdata,
                .from = {.fd = -1, .handler = on_from},
                .to = {.fd = -1, .handler = on_to},
                .slave_fd = -1,
        };

        int r = start(p);
        if (r < 0) {
                guest_program_free(p);
                return r;
        }

        *ret = p;
        return 0;
}

void guest_program_hang_up(GuestProgram *p) {
        if (p->pid <= 0)
                return;

        /* A shell at a terminal obeys the first, most other programs the second. */
        (void) kill(-p->pid, SIGHUP);
        (void) kill(-p->pid, SIGTERM);
        (void) kill(-p->pid, SIGCONT);
}

static bool has_ended(pid_t pid, int flags) {
        siginfo_t si = {};

        return waitid(P_PID, (id_t) pid, &si, WEXITED | flags) < 0 || si.si_pid == pid;
}

GuestProgram *guest_program_free(GuestProgram *p) {
        if (!p)
                return NULL;

        pid_t pid = p->pid;
        p->child = sd_event_source_disable_unref(p->child);
        guest_program_hang_up(p);
        forget_processes(p);
        close_watch(p, &p->from);
        close_watch(p, &p->to);
        sd_event_source_disable_unref(p->restart);
        free(p);

        if (pid <= 0)
                return NULL;

        for (usec_t waited = 0; !has_ended(pid, WNOHANG | WNOWAIT) && waited < HANG_UP_PATIENCE_USEC;
             waited += 5 * USEC_PER_MSEC)
                (void) usleep(5 * USEC_PER_MSEC);

        (void) kill(-pid, SIGKILL);
        (void) has_ended(pid, 0);

        return NULL;
}

size_t guest_program_read(GuestProgram *p, uint8_t *data, size_t n) {
        if (p->from.fd < 0)
                return 0;

        ssize_t k = read(p->from.fd, data, n);
        if (k > 0)
                return (size_t) k;

        if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
                (void) poller_watch(p->poller, &p->from, EPOLLIN);
                return 0;
        }

        /* The end; of a pty that is EIO. */
        close_watch(p, &p->from);
        maybe_restart(p);
        return 0;
}

size_t guest_program_write(GuestProgram *p, const uint8_t *data, size_t n) {
        if (p->over)
                return n;
        if (p->to.fd < 0)
                return 0;

        ssize_t k = write(p->to.fd, data, n);
        if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
                (void) poller_watch(p->poller, &p->to, EPOLLOUT);
                return 0;
        }

        /* The program does not read any more: its input is lost, as in a guest. */
        if (k < 0)
                return n;

        if ((size_t) k < n)
                (void) poller_watch(p->poller, &p->to, EPOLLOUT);

        return (size_t) k;
}
