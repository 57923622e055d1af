/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>

#include "basic/notifier.h"
#include "basic/worker.h"
#include "slow-start.h"

#define EVERY_SEC 3U

/* How long to wait for the thread to wake up and end */
#define STOP_USEC (10 * USEC_PER_SEC)

/* 60 s: much more than EVERY_SEC, in case the machine is busy */
static const char more_time[] = "STATUS=Starting: reading files, tokens and stored ports\nEXTEND_TIMEOUT_USEC=60000000";

struct SlowStart {
        int fd;
        Worker worker;
};

static void run(void *userdata) {
        SlowStart *s = userdata;

        for (unsigned sec = EVERY_SEC; sec <= SLOW_START_MAX_SEC; sec += EVERY_SEC) {
                usec_t until = now_monotonic() + EVERY_SEC * USEC_PER_SEC;

                while (!s->worker.stopping && worker_wait_until(&s->worker, until))
                        ;
                if (s->worker.stopping)
                        break;

                /* If this fails because systemd does not read, it will read the next one. */
                (void) notify_socket_send(s->fd, more_time);
        }
}

static void slow_start_free(void *userdata) {
        SlowStart *s = userdata;

        worker_done(&s->worker);
        safe_close(s->fd);
        free(s);
}

int slow_start_begin(SlowStart **ret) {
        _cleanup_free_ SlowStart *s = calloc(1, sizeof(SlowStart));
        _cleanup_close_ int fd = notify_socket_open();
        sigset_t all, before;

        if (fd < 0)
                return fd;
        if (!s)
                return -ENOMEM;

        s->fd = fd;
        s->worker = WORKER_INIT;

        /* The thread must not take signals. */
        sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = worker_start(&s->worker, "start", run, s);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r < 0)
                return r;

        TAKE_FD(fd);
        *ret = TAKE_PTR(s);
        return 0;
}

SlowStart *slow_start_end(SlowStart *s) {
        if (worker_stop(&s->worker, STOP_USEC, slow_start_free))
                slow_start_free(s);
        return NULL;
}
