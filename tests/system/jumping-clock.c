/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Loaded into a program (LD_PRELOAD), it makes the time of day jump: what is in the file is added to it, and may
 * change at any time. All other clocks are as they are, as they would be if somebody had set the machine's clock. */

#define FILE_NAME "/run/vspc-clock" /* an int64_t, microseconds */
#define USEC_PER_SEC 1000000
#define NSEC_PER_USEC 1000

static const volatile int64_t *offset;

static void __attribute__((constructor)) open_offset(void) {
        int fd = open(FILE_NAME, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                abort();

        void *p = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                abort();

        close(fd);
        offset = p;
}

int clock_gettime(clockid_t clock, struct timespec *ts) {
        int r = (int) syscall(SYS_clock_gettime, clock, ts);

        if (r < 0 || !offset || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
                return r;

        int64_t usec = ts->tv_sec * USEC_PER_SEC + ts->tv_nsec / NSEC_PER_USEC + *offset;
        ts->tv_sec = usec / USEC_PER_SEC;
        ts->tv_nsec = usec % USEC_PER_SEC * NSEC_PER_USEC;
        return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
        struct timespec ts;

        (void) zone;
        int r = clock_gettime(CLOCK_REALTIME, &ts);
        if (r >= 0)
                *tv = (struct timeval){ts.tv_sec, ts.tv_nsec / NSEC_PER_USEC};

        return r;
}

time_t time(time_t *ret) {
        struct timespec ts;

        if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
                return -1;

        if (ret)
                *ret = ts.tv_sec;

        return ts.tv_sec;
}
