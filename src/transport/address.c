/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <stdio.h>

#include "address.h"

static char *format_decimal(unsigned n, char *p) {
        char digits[10], *d = digits;

        do
                *d++ = (char) ('0' + n % 10);
        while ((n /= 10) > 0);

        while (d > digits)
                *p++ = *--d;
        return p;
}

/* Each connection's address is formatted. With inet_ntop() and snprintf() this would take a tenth of the time that
 * vspcd spends on a VM's handshake. */
static void format_ipv4(const void *address, in_port_t port, char *p) {
        for (unsigned i = 0; i < 4; i++) {
                p = format_decimal(((const uint8_t *) address)[i], p);
                *p++ = i < 3 ? '.' : ':';
        }

        *format_decimal(ntohs(port), p) = 0;
}

const char *address_format(const SocketAddress *a, char buffer[static ADDRESS_TEXT_MAX]) {
        char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];

        switch (a->any.sa_family) {

        case AF_INET:
                format_ipv4(&a->in.sin_addr, a->in.sin_port, buffer);
                break;

        case AF_INET6:
                if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
                        format_ipv4(&a->in6.sin6_addr.s6_addr[12], a->in6.sin6_port, buffer);
                else {
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
        switch (a->any.sa_family) {

        case AF_UNIX:
                return sizeof a->un;

        case AF_INET6:
                return sizeof a->in6;

        default:
                return sizeof a->in;
        }
}

bool address_is_loopback(const SocketAddress *a) {
        if (a->any.sa_family == AF_INET6)
                return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);

        return ntohl(a->in.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

bool address_equal(const SocketAddress *a, const SocketAddress *b) {
        return a->any.sa_family == b->any.sa_family && memcmp(a, b, address_length(a)) == 0;
}
