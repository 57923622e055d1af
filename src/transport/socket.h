/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "address.h"

/* Stream sockets: how they are opened, and what is set on those of TCP. */

/*
 * Sets what every connection is to have: no delay; keepalive, by which a peer that dies while nothing is under way to it is
 * found within 90 s (Liveness does the rest); urgent data read in its place in the stream, as telnet's Synch (RFC 854)
 * sends half a command as urgent data.
 *
 * There is no TCP_USER_TIMEOUT: with that, the kernel does not count unanswered probes of keepalive (tcp(7)), and it also
 * ends the connection of a peer that is alive and takes nothing.
 */
void socket_tune(int fd);

/* Begins to connect to @a, without waiting: once the socket is writable, socket_take_error() says whether it is connected.
 * Returns: a descriptor or a negative errno. */
int socket_connect(const SocketAddress *a);

/* Returns: 0, or the negative errno of what has failed since it was last asked for. */
int socket_take_error(int fd);

/* Opens a TCP listener on @a. Returns: a descriptor or a negative errno (-EADDRINUSE among them). */
int socket_listen(const SocketAddress *a);
