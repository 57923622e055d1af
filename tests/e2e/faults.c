/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Preloaded into vspcd: has system calls fail that a healthy machine does not fail. The file $FAULTS, which may change
 * at any time, says which: lines "CALL ERRNO PATH", for example "fsync 5 /tmp/state/mappings/", where PATH is how the
 * path of what the call is about begins; with "$" at its end it is all of it. If ERRNO is negative it does not fail, but
 * takes so many microseconds longer.
 *
 * By syscall(2) and not by dlsym(3): sanitizers call write() before anything can be looked up.
 *
 * If there is a folder $FAULTS.synced, each file that has been synced is copied there, under the name that it has by then:
 * it is what a power cut would leave.
 *
 * And has handshakes of TLS wait for as long as somebody has locked $FAULTS.gate, see flock(2), if there is that; whoever
 * looks for a user's name for as long as somebody has locked $FAULTS.names; and whoever opens a file or a folder for as
 * long as somebody has locked $FAULTS.open-NAME, where NAME is the last part of its path.
 *
 * And whoever reads the FIFO $FAULTS.memory, if there is that at the start, is told how many bytes vspcd has allocated and not
 * freed. What the process takes is more, by gaps whose size is chance.
 */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool path_matches(const char *path, const char *pattern) {
        size_t n = strlen(pattern);

        if (n > 0 && pattern[n - 1] == '$')
                return strlen(path) == n - 1 && strncmp(path, pattern, n - 1) == 0;

        return strncmp(path, pattern, n) == 0;
}

/* Returns: whether @call is to fail, errno is set then. */
static bool fails(const char *call, int fd) {
        char rules[4096], link[64], path[PATH_MAX], *line, *rest = rules;
        const char *control = getenv("FAULTS");
        int saved_errno = errno;

        long rules_fd = control ? syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC) : -1;
        long n = rules_fd >= 0 ? syscall(SYS_read, rules_fd, rules, sizeof rules - 1) : 0;
        if (rules_fd >= 0)
                syscall(SYS_close, rules_fd);

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        long k = n > 0 ? readlink(link, path, sizeof path - 1) : -1;
        errno = saved_errno;
        if (k < 0)
                return false;
        path[k] = 0;
        rules[n] = 0;

        while ((line = strsep(&rest, "\n"))) {
                char name[16], pattern[PATH_MAX];
                int error;

                if (sscanf(line, "%15s %d %4095s", name, &error, pattern) == 3 && strcmp(name, call) == 0 &&
                    path_matches(path, pattern)) {
                        errno = error < 0 ? saved_errno : error;
                        if (error < 0)
                                usleep((useconds_t) -error);
                        return error > 0;
                }
        }

        return false;
}

ssize_t read(int fd, void *data, size_t n) {
        return fails("read", fd) ? -1 : syscall(SYS_read, fd, data, n);
}

ssize_t write(int fd, const void *data, size_t n) {
        return fails("write", fd) ? -1 : syscall(SYS_write, fd, data, n);
}

/* By way of another name, so that it is there whole or not at all. */
static void copy_synced(int fd) {
        const char *control = getenv("FAULTS"), *name;
        char link[64], path[PATH_MAX], copy[2 * PATH_MAX], new[2 * PATH_MAX], data[65536];
        long n;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t k = readlink(link, path, sizeof path - 1);
        if (k < 0 || !control)
                return;
        path[k] = 0;
        name = strrchr(path, '/') ?: path;

        snprintf(copy, sizeof copy, "%s.synced%s", control, name);
        snprintf(new, sizeof new, "%s.synced/new", control);
        int from = open(path, O_RDONLY | O_CLOEXEC);
        int to = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (from >= 0 && to >= 0) {
                while ((n = syscall(SYS_read, from, data, sizeof data)) > 0)
                        if (syscall(SYS_write, to, data, n) != n)
                                abort();
                if (n == 0 && rename(new, copy) < 0)
                        abort();
        }
        if (from >= 0)
                syscall(SYS_close, from);
        if (to >= 0)
                syscall(SYS_close, to);
}

int fsync(int fd) {
        if (fails("fsync", fd))
                return -1;

        int r = (int) syscall(SYS_fsync, fd);
        if (r >= 0)
                copy_synced(fd);

        return r;
}

/* Those two are about the folder that is renamed in. */
int renameat(int from_fd, const char *from, int to_fd, const char *to) {
        return fails("renameat", from_fd) ? -1 : (int) syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
        return fails("renameat2", from_fd) ? -1 : (int) syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

/* Each that arrives at the gate leaves a byte in it. */
static void wait_at_gate(const char *name) {
        const char *control = getenv("FAULTS");
        char path[2 * PATH_MAX];

        snprintf(path, sizeof path, "%s.%s", control ? control : "", name);
        long fd = control ? syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
        if (fd < 0)
                return;

        if (syscall(SYS_write, fd, "", 1) < 0)
                abort();
        while (flock((int) fd, LOCK_SH) < 0 && errno == EINTR)
                ;
        syscall(SYS_close, fd);
}

static void wait_to_open(const char *path) {
        int saved_errno = errno;
        const char *slash = strrchr(path, '/');
        char name[PATH_MAX];

        snprintf(name, sizeof name, "open-%s", slash ? slash + 1 : path);
        wait_at_gate(name);
        errno = saved_errno;
}

int open64(const char *path, int flags, ...) {
        va_list ap;

        va_start(ap, flags);
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
        va_end(ap);

        wait_to_open(path);
        return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

DIR *opendir(const char *path) {
        DIR *(*function)(const char *) = (DIR * (*) (const char *) ) dlsym(RTLD_NEXT, "opendir");

        wait_to_open(path);
        return function(path);
}

int gnutls_handshake(gnutls_session_t session) {
        int (*handshake)(gnutls_session_t) = (int (*)(gnutls_session_t)) dlsym(RTLD_NEXT, "gnutls_handshake");

        wait_at_gate("gate");
        return handshake(session);
}

int getpwuid_r(uid_t uid, struct passwd *record, char *buffer, size_t size, struct passwd **result) {
        int (*look_up)(uid_t, struct passwd *, char *, size_t, struct passwd **) =
                (int (*)(uid_t, struct passwd *, char *, size_t, struct passwd **)) dlsym(RTLD_NEXT, "getpwuid_r");

        wait_at_gate("names");
        return look_up(uid, record, buffer, size, result);
}

static size_t allocated(void) {
        /* mallinfo2() knows nothing of AddressSanitizer's allocator. */
        size_t (*sanitizer)(void) = (size_t (*)(void)) dlsym(RTLD_DEFAULT, "__sanitizer_get_current_allocated_bytes");

        return sanitizer ? sanitizer() : mallinfo2().uordblks;
}

static void *tell_memory(void *path) {
        for (;;) {
                int fd = open(path, O_WRONLY | O_CLOEXEC); /* waits for a reader */

                if (fd >= 0)
                        dprintf(fd, "%zu\n", allocated()); /* again and again until the reader closes it */
                if (fd < 0 || close(fd) < 0)
                        abort();
        }

        return NULL;
}

__attribute__((constructor)) static void offer_memory(void) {
        static char path[PATH_MAX];
        const char *control = getenv("FAULTS");
        struct stat st;
        sigset_t all, before;
        pthread_t thread;

        snprintf(path, sizeof path, "%s.memory", control ? control : "");
        if (stat(path, &st) < 0 || !S_ISFIFO(st.st_mode))
                return;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        if (pthread_create(&thread, NULL, tell_memory, path) != 0)
                abort();
        pthread_sigmask(SIG_SETMASK, &before, NULL);
}
