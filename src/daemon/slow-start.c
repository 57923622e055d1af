/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>
#include <signal.h>

#include "basic/notifier.h"
#include "basic/time.h"
#include "slow-start.h"

#define EVERY_SEC 3U

/* Far more than that, for a machine that is busy. */
static const char more_time[] = "STATUS=Starting: reading files, tokens and stored ports\nEXTEND_TIMEOUT_USEC=60000000";

struct SlowStart {
        int fd;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool ended;
};

/* Returns: whether the start has ended within @usec. */
static bool slow_start_wait(SlowStart *s, usec_t usec) {
        usec_t until = now_monotonic() + usec;
        const struct timespec t = {
                .tv_sec = (time_t) (until / USEC_PER_SEC),
                .tv_nsec = (long) (until % USEC_PER_SEC * 1000),
        };

        pthread_mutex_lock(&s->lock);
        while (!s->ended && pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &t) == 0)
                ;
        bool ended = s->ended;
        pthread_mutex_unlock(&s->lock);

        return ended;
}

static void *run(void *userdata) {
        SlowStart *s = userdata;

        /* If systemd does not read, it will have read the next one. */
        for (unsigned sec = EVERY_SEC; sec <= SLOW_START_MAX_SEC && !slow_start_wait(s, EVERY_SEC * USEC_PER_SEC); sec += EVERY_SEC)
                (void) notify_socket_send(s->fd, more_time);

        return NULL;
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
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->changed, NULL);

        /* Signals are not for this thread. */
        sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = pthread_create(&s->thread, NULL, run, s);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0)
                return -r;

        TAKE_FD(fd);
        *ret = TAKE_PTR(s);
        return 0;
}

SlowStart *slow_start_end(SlowStart *s) {
        pthread_mutex_lock(&s->lock);
        s->ended = true;
        pthread_cond_signal(&s->changed);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);

        pthread_cond_destroy(&s->changed);
        pthread_mutex_destroy(&s->lock);
        safe_close(s->fd);
        free(s);
        return NULL;
}
