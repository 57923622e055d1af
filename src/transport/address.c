/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include "address.h"

#define KEEPALIVE_IDLE_SEC 60
#define KEEPALIVE_INTERVAL_SEC 10
#define KEEPALIVE_PROBES 3
#define USER_TIMEOUT_MSEC (90 * 1000)

const char *address_format(const SocketAddress *a, char buffer[static ADDRESS_TEXT_MAX]) {
        char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];

        switch (a->any.sa_family) {

        case AF_INET:
                inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof host);
                snprintf(buffer, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(a->in.sin_port));
                break;

        case AF_INET6:
                if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
                        inet_ntop(AF_INET, &a->in6.sin6_addr.s6_addr[12], host, sizeof host);
                        snprintf(buffer, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(a->in6.sin6_port));
                } else {
                        inet_ntop(AF_INET6, &a->in6.sin6_addr, host, INET6_ADDRSTRLEN);
                        snprintf(buffer, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(a->in6.sin6_port));
                }
                break;

        default:
                strcpy(buffer, "local socket");
        }

        return buffer;
}

int address_parse(const char *text, SocketAddress *ret) {
        SocketAddress a = {};

        if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
                a.any.sa_family = AF_INET;
        else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1)
                a.any.sa_family = AF_INET6;
        else
                return -EINVAL;

        *ret = a;
        return 0;
}

void address_set_port(SocketAddress *a, uint16_t port) {
        if (a->any.sa_family == AF_INET6)
                a->in6.sin6_port = htons(port);
        else
                a->in.sin_port = htons(port);
}

socklen_t address_length(const SocketAddress *a) {
        return a->any.sa_family == AF_INET6 ? sizeof a->in6 : sizeof a->in;
}

static void set_int(int fd, int level, int option, int value) {
        /* On a socket that is not TCP these mean nothing; nothing is lost. */
        (void) setsockopt(fd, level, option, &value, sizeof value);
}

void socket_tune(int fd) {
        set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_SEC);
        set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC);
        set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
        set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

void socket_set_user_timeout(int fd) {
        set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MSEC);
}

int socket_listen(const SocketAddress *a) {
        _cleanup_close_ int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        /* Connections of its former owner that linger in TIME-WAIT are no reason not to have a port. */
        set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (bind(fd, &a->any, address_length(a)) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;

        return TAKE_FD(fd);
}
