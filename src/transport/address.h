/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"

/* SocketAddress: the address of an IP socket or a local socket */

typedef union SocketAddress {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
} SocketAddress;

/* "192.0.2.7:4711", "[2001:db8::7]:4711", "local socket" */
#define ADDRESS_TEXT_MAX (INET6_ADDRSTRLEN + IF_NAMESIZE + sizeof("[]:65535") + 1)
const char *address_format(const SocketAddress *a, char buffer[static ADDRESS_TEXT_MAX]);

/* Parses an IPv4 or IPv6 address; the port is left 0. Returns: 0 or -EINVAL. */
int address_parse(const char *text, SocketAddress *ret);
void address_set_port(SocketAddress *a, uint16_t port);
socklen_t address_length(const SocketAddress *a);

/* Returns: whether only programs on this machine can have this address. For IP addresses only. */
bool address_is_loopback(const SocketAddress *a);

/* Returns: whether address and port are equal. For IP addresses only. */
bool address_equal(const SocketAddress *a, const SocketAddress *b);
