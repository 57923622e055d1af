/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Tries to execute a program of somebody else's, or code of its own, in each of the ways that somebody has who
 * has broken a service whose sandbox it is started in. Says which of them work, and exits with their number. */

#define PROGRAM "/usr/bin/true"
#define CODE_SIZE 4096

extern char **environ;

static char *const arguments[] = {"true", NULL};

static void execute_descriptor(int fd) {
        char path[64];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        execve(path, arguments, environ);
        fexecve(fd, arguments, environ);
}

static void by_path(void) {
        execve(PROGRAM, arguments, environ);
}

static void by_execveat(void) {
        syscall(SYS_execveat, AT_FDCWD, PROGRAM, arguments, environ, 0);
}

/* The dynamic linker may be executed, as it has to load vspcd. What it has to say is not for our output. */
static void by_linker(void) {
        static const char *const linkers[] = {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"};

        close(STDERR_FILENO);
        for (size_t i = 0; i < sizeof linkers / sizeof *linkers; i++)
                if (access(linkers[i], F_OK) >= 0)
                        execve(linkers[i], (char *const[]){"ld.so", PROGRAM, NULL}, environ);
}

/* Where libraries are in most distributions, and programs in all. */
static void by_path_in_usr_lib(void) {
        close(STDOUT_FILENO);
        execve("/usr/lib/systemd/systemd", (char *const[]){"systemd", "--version", NULL}, environ);
}

static void copy_to(int out) {
        struct stat st;
        int in = open(PROGRAM, O_RDONLY | O_CLOEXEC);

        if (in < 0 || fstat(in, &st) < 0 || sendfile(out, in, NULL, (size_t) st.st_size) != st.st_size)
                exit(1);
}

static void by_memfd(void) {
        int fd = memfd_create("program", 0);

        if (fd < 0)
                return;
        copy_to(fd);
        execute_descriptor(fd);
}

static void by_file(const char *folder) {
        char path[256];

        snprintf(path, sizeof path, "%s/program-%d", folder, getpid());
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        if (fd < 0)
                return;
        copy_to(fd);
        close(fd);
        execve(path, arguments, environ);
        unlink(path);
}

static void by_file_of_state(void) {
        by_file("/var/lib/vspc");
}

static void by_file_of_logs(void) {
        by_file("/var/log/vspc");
}

static void by_file_of_run_time(void) {
        by_file("/run/vspcd");
}

static void by_file_in_tmp(void) {
        by_file("/tmp");
}

static void by_file_in_var_tmp(void) {
        by_file("/var/tmp");
}

static void by_file_in_memory(void) {
        by_file("/dev/shm");
}

/* Our own: the system call is what counts. */
static void by_writing_into_a_process(void) {
        long here = 0, there = 1;
        struct iovec local = {&there, sizeof there}, remote = {&here, sizeof here};

        if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) > 0)
                exit(0);
}

static void by_mapping_what_was_written(void) {
        int fd = memfd_create("code", 0);

        if (fd >= 0 && ftruncate(fd, CODE_SIZE) >= 0 &&
            mmap(NULL, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) != MAP_FAILED)
                exit(0);
}

int main(void) {
        static const struct {
                const char *name;
                void (*try)(void); /* does not return, or exits with 0, if it has worked */
        } ways[] = {
                {"by path", by_path},
                {"by path in /usr/lib", by_path_in_usr_lib},
                {"by execveat()", by_execveat},
                {"by the dynamic linker", by_linker},
                {"from a memfd", by_memfd},
                {"from a file in /var/lib/vspc", by_file_of_state},
                {"from a file in /var/log/vspc", by_file_of_logs},
                {"from a file in /run/vspcd", by_file_of_run_time},
                {"from a file in /tmp", by_file_in_tmp},
                {"from a file in /var/tmp", by_file_in_var_tmp},
                {"from a file in /dev/shm", by_file_in_memory},
                {"by writing into a process", by_writing_into_a_process},
                {"by mapping what was written", by_mapping_what_was_written},
        };
        int n_worked = 0;

        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
                int status;

                fflush(stdout);
                pid_t pid = fork();
                if (pid == 0) {
                        ways[i].try();
                        _exit(1);
                }
                if (pid < 0 || waitpid(pid, &status, 0) < 0) {
                        perror("cannot try it");
                        return 255;
                }

                bool worked = WIFEXITED(status) && WEXITSTATUS(status) == 0;
                printf("%s: %s\n", ways[i].name, worked ? "works" : "does not");
                n_worked += worked;
        }

        return n_worked;
}
