/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "address.h"

/* Opens stream sockets, and sets the options of TCP sockets. */

/*
 * Sets the options of a connection: no delay; keepalive, which detects within 90 s that a peer has died if all data has been
 * acknowledged (Liveness detects it otherwise); and urgent data stays in its place in the stream, because telnet's Synch
 * (RFC 854) sends half a command as urgent data.
 *
 * TCP_USER_TIMEOUT is not set: with it, the kernel ignores the number of keepalive probes (tcp(7)), and it would also end the
 * connection of a peer that is alive but does not read.
 */
void socket_tune(int fd);

/* Begins to connect to @a without blocking. When the socket becomes writable, socket_take_error() tells whether it is
 * connected. Returns: a non-blocking descriptor or a negative errno. */
int socket_connect(const SocketAddress *a);

/* Returns: the socket's pending error (SO_ERROR), which is cleared, as a negative errno; 0 if there is none. */
int socket_take_error(int fd);

/* Opens a listening TCP socket. Returns: a non-blocking descriptor or a negative errno (such as -EADDRINUSE). */
int socket_listen(const SocketAddress *a);
