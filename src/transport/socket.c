/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "socket.h"

#define KEEPALIVE_IDLE_SEC 60
#define KEEPALIVE_INTERVAL_SEC 10
#define KEEPALIVE_PROBES 3

static void set_int(int fd, int level, int option, int value) {
        /* Fails if the socket is not a TCP socket: then the option is not needed. */
        (void) setsockopt(fd, level, option, &value, sizeof value);
}

void socket_tune(int fd) {
        set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_SEC);
        set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC);
        set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
        set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

int socket_connect(const SocketAddress *a) {
        _cleanup_close_ int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        socket_tune(fd);
        if (connect(fd, &a->any, address_length(a)) < 0 && errno != EINPROGRESS)
                return -errno;

        return TAKE_FD(fd);
}

int socket_take_error(int fd) {
        int error = 0;
        socklen_t size = sizeof error;

        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

int socket_listen(const SocketAddress *a) {
        _cleanup_close_ int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        /* Allows to bind a port while connections of its previous owner are in TIME-WAIT. */
        set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);

        /* Accepted connections inherit this, so it is in force before their first byte. */
        set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
        if (bind(fd, &a->any, address_length(a)) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;

        return TAKE_FD(fd);
}
