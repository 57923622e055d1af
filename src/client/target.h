/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bridge.h"
#include "transport/address.h"
#include "trust.h"

/*
 * Targets: the addresses of vspcd in the order in which they are tried. Names are resolved here once, before the
 * event loop runs.
 */

#define TARGET_DEFAULT_SOCKET "/run/vspc/admin.socket"
#define TARGET_DEFAULT_PORT 13371U
#define TARGET_DEFAULT_TLS_PORT 13372U

/* Only the first addresses of a host are tried. */
#define TARGETS_MAX 16U

typedef struct Targets {
        SocketAddress target[TARGETS_MAX];
        size_t n;
        const Trust *trust;   /* borrowed; NULL: no TLS */
        const Bridge *bridge; /* borrowed; not NULL: that is the only target, and has no address */
} Targets;

/* The default is the local socket only: at a port of this machine, any local user could listen. */
void targets_default(Targets *t);

/* Returns: 0, or -ENAMETOOLONG if @path does not fit into a socket address. */
int targets_local(Targets *t, const char *path);

/* Splits "HOST:PORT". Returns: 0, -EINVAL or -ENOMEM. */
int target_split_port(const char *text, uint16_t default_port, char **ret_host, uint16_t *ret_port);

/* By way of ssh */
void targets_bridged(Targets *t, const Bridge *bridge);

/* @text: "HOST", "HOST:PORT", "::1", "[::1]:PORT". *ret_host: the HOST in it, to be freed. Returns: 0, or a
 * negative errno after a message. */
int targets_resolve(Targets *t, const char *text, uint16_t default_port, char **ret_host);

/* "/run/vspc/admin.socket", "192.0.2.1:13371" */
#define TARGET_TEXT_MAX (sizeof(((struct sockaddr_un *) NULL)->sun_path) + ADDRESS_TEXT_MAX)
const char *target_format(const SocketAddress *target, char buffer[static TARGET_TEXT_MAX]);

/* Returns: whether the target is on this machine. By way of ssh, none is. */
bool target_is_of_this_machine(const SocketAddress *target);

static inline bool target_is_local_socket(const SocketAddress *target) {
        return target->any.sa_family == AF_UNIX;
}

static inline bool target_is_default_socket(const SocketAddress *target) {
        return target_is_local_socket(target) && streq(target->un.sun_path, TARGET_DEFAULT_SOCKET);
}
