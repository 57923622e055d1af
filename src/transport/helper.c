/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>

#include "basic/macro.h"
#include "helper.h"

/* If a helper keeps ending, it is started no more often than this: systemd would take ten starts a second for a
 * mistake (TriggerLimitBurst=) and close the socket. */
#define CONNECT_INTERVAL_USEC (200 * USEC_PER_MSEC)

/* How often connecting to a helper that cannot be reached is tried */
#define RETRY_USEC (5 * USEC_PER_SEC)

int helper_init(Helper *h, sd_event *loop, const char *variable, const char *path, sd_event_io_handler_t on_io,
                sd_event_time_handler_t on_retry, void *userdata) {
        *h = (Helper){.fd = -1, .on_io = on_io, .userdata = userdata};

        path = secure_getenv(variable) ?: path;
        if (strlen(path) >= sizeof h->address.sun_path)
                return -ENAMETOOLONG;

        h->address.sun_family = AF_UNIX;
        strcpy(h->address.sun_path, path);

        int r = sd_event_add_time(loop, &h->retry_timer, CLOCK_MONOTONIC, 0, 0, on_retry, userdata);
        if (r < 0)
                return r;

        (void) sd_event_source_set_enabled(h->retry_timer, SD_EVENT_OFF);
        h->loop = sd_event_ref(loop);
        return 0;
}

void helper_done(Helper *h) {
        helper_close(h);
        h->retry_timer = sd_event_source_disable_unref(h->retry_timer);
        h->loop = sd_event_unref(h->loop);
}

static int helper_open(Helper *h) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;

        /* If the helper does not run, the connection waits in the queue of the socket, which systemd watches. */
        if (connect(fd, (const struct sockaddr *) &h->address, sizeof h->address) < 0)
                return -errno;

        /* After the loop has ended, the owner polls the descriptor itself. */
        int r = sd_event_add_io(h->loop, &h->source, fd, EPOLLIN, h->on_io, h->userdata);
        if (r < 0 && r != -ESTALE)
                return r;

        h->fd = TAKE_FD(fd);
        return 0;
}

int helper_connect(Helper *h) {
        usec_t now = now_monotonic(); /* not event_now(): the loop may have ended */
        int r = 0;

        if (h->fd >= 0)
                return 1;

        if (now >= h->not_before) {
                h->not_before = now + CONNECT_INTERVAL_USEC;
                r = helper_open(h);
                if (r >= 0)
                        return 1;
                helper_back_off(h);
        }

        (void) sd_event_source_set_time(h->retry_timer, h->not_before);
        (void) sd_event_source_set_enabled(h->retry_timer, SD_EVENT_ONESHOT);
        return r;
}

void helper_close(Helper *h) {
        h->source = sd_event_source_disable_unref(h->source);
        h->fd = safe_close(h->fd);
}

void helper_back_off(Helper *h) {
        h->not_before = now_monotonic() + RETRY_USEC;
}
