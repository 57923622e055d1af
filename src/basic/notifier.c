/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "notifier.h"
#include "text.h"
#include "timeout-queue.h"

/* In the order of sending: after a reload, the service is ready again. */
typedef enum Message {
        MESSAGE_WATCHDOG,
        MESSAGE_RELOADING,
        MESSAGE_STATUS,
        MESSAGE_READY,
        _MESSAGE_MAX,
} Message;

struct Notifier {
        int fd; /* -1: $NOTIFY_SOCKET is not set */
        char *pending[_MESSAGE_MAX];
        sd_event_source *writable; /* enabled while messages are pending */
        sd_event_source *watchdog; /* NULL: systemd does not use the watchdog */
        usec_t watchdog_usec;
};

int notify_socket_open(void) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const char *path = getenv("NOTIFY_SOCKET");
        size_t n = path ? strlen(path) : 0;

        if (n == 0)
                return -ENOTCONN;
        if (path[0] != '/' && path[0] != '@') /* "vsock:" (for virtual machines) is not supported */
                return -EAFNOSUPPORT;
        if (n > sizeof address.sun_path - 1)
                return -ENAMETOOLONG;

        memcpy(address.sun_path, path, n);
        if (path[0] == '@')
                address.sun_path[0] = 0;

        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        socklen_t length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
        if (connect(fd, (const struct sockaddr *) &address, length) < 0)
                return -errno;

        return TAKE_FD(fd);
}

int notify_socket_send(int fd, const char *message) {
        return send(fd, message, strlen(message), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Connects to systemd's socket again: systemd may have replaced it. */
static int notifier_connect_again(Notifier *n) {
        _cleanup_close_ int fd = notify_socket_open();
        if (fd < 0)
                return fd;

        int r = sd_event_source_set_io_fd(n->writable, fd);
        if (r >= 0) {
                safe_close(n->fd);
                n->fd = TAKE_FD(fd);
        }
        return r;
}

static int notifier_send(Notifier *n, const char *message) {
        int r = notify_socket_send(n->fd, message);

        if (r == -ECONNREFUSED || r == -ENOTCONN)
                r = notifier_connect_again(n) < 0 ? r : notify_socket_send(n->fd, message);
        return r;
}

static void notifier_flush(Notifier *n) {
        int r = 0;

        for (Message m = 0; m < _MESSAGE_MAX && r != -EAGAIN; m++)
                if (n->pending[m]) {
                        r = notifier_send(n, n->pending[m]);
                        if (r != -EAGAIN) /* other errors: drop the message */
                                free(TAKE_PTR(n->pending[m]));
                }

        (void) sd_event_source_set_enabled(n->writable, r == -EAGAIN ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* Takes over @text. NULL: memory was short; a pending message of this kind is dropped. */
static void notifier_put(Notifier *n, Message message, char *text) {
        free(TAKE(n->pending[message], text));
        if (n->fd >= 0)
                notifier_flush(n);
}

static int on_writable(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events, void *userdata) {
        notifier_flush(userdata);
        return 0;
}

static int on_watchdog(sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        Notifier *n = userdata;

        notifier_put(n, MESSAGE_WATCHDOG, strdup("WATCHDOG=1"));
        (void) sd_event_source_set_time(source, event_now(sd_event_source_get_event(source)) + n->watchdog_usec / 2);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int notifier_serve_watchdog(Notifier *n, sd_event *event) {
        if (sd_watchdog_enabled(false, &n->watchdog_usec) <= 0)
                return 0;

        int r = sd_event_add_time(event, &n->watchdog, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_watchdog, n);

        /* ahead of everything else that is ready at the same time */
        return r < 0 ? r : sd_event_source_set_priority(n->watchdog, SD_EVENT_PRIORITY_IMPORTANT);
}

int notifier_new(sd_event *event, Notifier **ret) {
        _cleanup_(notifier_freep) Notifier *n = calloc(1, sizeof(Notifier));
        if (!n)
                return -ENOMEM;

        n->fd = notify_socket_open();
        if (n->fd >= 0) {
                int r = sd_event_add_io(event, &n->writable, n->fd, EPOLLOUT, on_writable, n);
                if (r >= 0)
                        r = sd_event_source_set_enabled(n->writable, SD_EVENT_OFF);
                if (r >= 0)
                        r = notifier_serve_watchdog(n, event);
                if (r < 0)
                        return r;
        } else if (n->fd != -ENOTCONN)
                log_warning_errno(n->fd, "Cannot notify systemd at %s: %m", getenv("NOTIFY_SOCKET"));

        *ret = TAKE_PTR(n);
        return 0;
}

Notifier *notifier_free(Notifier *n) {
        for (Message m = 0; m < _MESSAGE_MAX; m++)
                free(n->pending[m]);
        sd_event_source_disable_unref(n->writable);
        sd_event_source_disable_unref(n->watchdog);
        safe_close(n->fd);
        free(n);
        return NULL;
}

void notifier_set_status(Notifier *n, const char *status) {
        notifier_put(n, MESSAGE_STATUS, text_format("STATUS=%s", status));
}

void notifier_reloading(Notifier *n) {
        /* RELOADING=1 implies that the previous reload has ended. */
        free(TAKE_PTR(n->pending[MESSAGE_READY]));
        notifier_put(n, MESSAGE_RELOADING, text_format("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_monotonic()));
}

void notifier_ready(Notifier *n) {
        notifier_put(n, MESSAGE_READY, strdup("READY=1"));
}

void notifier_stopping(Notifier *n) {
        for (Message m = 0; m < _MESSAGE_MAX; m++)
                free(TAKE_PTR(n->pending[m]));
        if (n->fd >= 0)
                (void) notifier_send(n, "STOPPING=1\nSTATUS=Stopping");
}
