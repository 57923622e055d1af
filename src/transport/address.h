/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"

/* A socket address, and what is set on sockets once instead of for each connection. */

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

/*
 * Sets what every connection is to have: no delay, and keepalive, by which a peer that has died is found within
 * about a minute and a half. The connections of a listening socket inherit it (tcp(7)).
 */
void socket_tune(int fd);

/* The same for a peer that has died while something was on its way to it. It also ends the connection of one
 * that lives and does not read, which a person who has paused the terminal may do for as long as they like: for
 * ESXi hosts only. */
void socket_set_user_timeout(int fd);

/* Opens a TCP listener on @a. Returns: a descriptor or a negative errno (-EADDRINUSE among them). */
int socket_listen(const SocketAddress *a);
