/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "account.h"
#include "identity.h"

/*
 * Peer: the other end of a connection, as it is shown in the log and in replies: its address or, for a local socket, the user
 * and the process that connected (SO_PEERCRED, unix(7)). The user's name is not known at first: UserNames finds it.
 */
#define PEER_NAME_MAX 128U
#define PEER_TEXT_MAX (PEER_NAME_MAX + sizeof(", ") - 1 + ADDRESS_TEXT_MAX)

#define PEER_UID_NONE ((uid_t) -1)

typedef struct Peer {
        char text[PEER_TEXT_MAX]; /* "192.0.2.7:4711", "alice, 192.0.2.7:4711", "alice (pid 4711)" */
        uid_t uid;                /* PEER_UID_NONE: not a local user */
        pid_t pid;                /* of a local user's process, which may have ended; 0: none */
        AccountKey key;           /* the owner to whom memory for the peer is charged */
        Identity identity;        /* on which the peer's rights depend */
} Peer;

/* Initializes the peer of the connected socket @fd, which has the address @address. */
void peer_init(Peer *p, int fd, const SocketAddress *address);

/* Adds the name in the peer's certificate, which must be sanitized. May be called once. */
void peer_set_name(Peer *p, const char *name);

/* Initializes a local user: "uid 1000 (pid 4711)" until the name is known. */
void peer_init_local(Peer *p, uid_t uid, pid_t pid);

/* For a peer that acts for another person: "bob, by way of root (pid 4711)". @name: any text; at most PEER_DISPLAY_NAME_MAX bytes
 * of it are shown. */
#define PEER_DISPLAY_NAME_MAX 64U
#define PEER_BY_WAY_OF ", by way of "
void peer_set_display_name(Peer *p, const char *name);

/* Replaces the uid in the text by @name, which must be sanitized; NULL: no name was found, and the uid stays. */
void peer_set_user_name(Peer *p, const char *name);
