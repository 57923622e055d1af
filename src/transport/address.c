/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <stdio.h>

#include "address.h"

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

bool address_equal(const SocketAddress *a, const SocketAddress *b) {
        return a->any.sa_family == b->any.sa_family && memcmp(a, b, address_length(a)) == 0;
}
