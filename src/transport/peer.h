/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "account.h"

/*
 * Peer: who is at the other end of a connection, for the log and for whoever asks. Of a local socket that is the
 * user and the process that connected (SO_PEERCRED, unix(7)). The user's name is not known to begin with: UserNames
 * finds it.
 */
#define PEER_NAME_MAX 128U
#define PEER_TEXT_MAX (PEER_NAME_MAX + sizeof(", ") - 1 + ADDRESS_TEXT_MAX)

#define PEER_UID_NONE ((uid_t) -1)

typedef struct Peer {
        char text[PEER_TEXT_MAX]; /* "192.0.2.7:4711", "alice, 192.0.2.7:4711", "alice (pid 4711)" */
        uid_t uid;                /* PEER_UID_NONE: not a local user's */
        pid_t pid;                /* of a local user; may have ended meanwhile */
        AccountKey key;           /* to whom what is kept for the peer is charged */
} Peer;

/* Of the connected socket @fd, which comes from @address. */
void peer_init(Peer *p, int fd, const SocketAddress *address);

/* By a certificate it is called @name, which is fit for people. Once. */
void peer_set_name(Peer *p, const char *name);

/* The peer is a local user: "uid 1000 (pid 4711)" until the name is known. */
void peer_init_local(Peer *p, uid_t uid, pid_t pid);

/* Replaces the uid of a local user by @name, which is fit for people; NULL: no name was found, the uid stays. */
void peer_set_user_name(Peer *p, const char *name);
