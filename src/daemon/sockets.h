/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * The listening sockets that systemd passes, told apart by FileDescriptorName= (sd_listen_fds(3)). Any number
 * may bear one name.
 */
typedef enum SocketKind {
        SOCKET_VM,        /* "vm": ESXi hosts */
        SOCKET_ADMIN,     /* "admin": queries */
        SOCKET_ADMIN_TLS, /* "admin-tls": the same, in TLS */
} SocketKind;

typedef struct PassedSocket {
        int fd;
        SocketKind kind;
} PassedSocket;

/* Logs what is wrong and how it would be right. *ret_sockets is to be freed by the caller; descriptors 3 and
 * up are non-blocking afterwards. Returns: how many there are, or a negative errno. */
int sockets_receive(PassedSocket **ret_sockets);
