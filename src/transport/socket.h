/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "address.h"

/* Stream sockets: how they are opened, and what is set on those of TCP. */

/*
 * Sets what every connection is to have: no delay; keepalive, by which a peer that has died is found within about a
 * minute and a half; urgent data read in its place in the stream, as telnet's Synch (RFC 854) sends half a command as
 * urgent data. The connections of a listening socket inherit this (tcp(7)).
 */
void socket_tune(int fd);

/* The same within five minutes for a peer that has died while something was on its way to it. It also ends the
 * connection of one that lives but takes nothing for as long, which a person who has paused the terminal may do
 * for as long as they like: for ESXi hosts only. */
void socket_set_user_timeout(int fd);

/* Begins to connect to @a, without waiting: once the socket is writable, socket_take_error() says whether it is connected.
 * Returns: a descriptor or a negative errno. */
int socket_connect(const SocketAddress *a);

/* Returns: 0, or the negative errno of what has failed since it was last asked for. */
int socket_take_error(int fd);

/* Opens a TCP listener on @a. Returns: a descriptor or a negative errno (-EADDRINUSE among them). */
int socket_listen(const SocketAddress *a);
