/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Receives the listening sockets that systemd passes (sd_listen_fds(3)). FileDescriptorName= says what a socket is for;
 * several sockets may have the same name.
 */
typedef enum SocketKind {
        SOCKET_VM,        /* "vm": ESXi hosts */
        SOCKET_ADMIN,     /* "admin": Varlink */
        SOCKET_ADMIN_TLS, /* "admin-tls": Varlink in TLS */
} SocketKind;

typedef struct PassedSocket {
        int fd;
        SocketKind kind;
} PassedSocket;

/* *ret_sockets: an array, to be freed; the sockets in it are non-blocking. Returns: the number of sockets, or a negative
 * errno, which has been logged with an explanation. */
int sockets_receive(PassedSocket **ret_sockets);
