/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gnutls/gnutls.h>
#include <sys/types.h>

#include "basic/macro.h"

/*
 * Identity: who somebody is, as far as rights depend on it: a local user with groups, the holder of a certificate, or
 * anonymous. It is a plain record of fixed size without pointers: a client keeps it for as long as it is connected, and
 * rights are decided again when the configuration changes.
 *
 * Names in a certificate are kept as digests of "CN=monitor", "DNS=host.example.org" and the like, since they are only
 * compared. What does not fit is left out: that can only take rights away.
 */
#define IDENTITY_GROUPS_MAX 64U
#define IDENTITY_NAMES_MAX 16U

typedef enum IdentityKind {
        IDENTITY_ANONYMOUS, /* TCP without TLS, or TLS without a certificate */
        IDENTITY_USER,
        IDENTITY_CERTIFICATE,
} IdentityKind;

/* The beginning of a name's SHA-256 */
typedef struct NameDigest {
        uint8_t bytes[16];
} NameDigest;

typedef struct Identity {
        uint32_t kind; /* IdentityKind */
        uint32_t uid;  /* of IDENTITY_USER */
        uint32_t n;    /* groups or names */
        NameDigest certificate; /* of IDENTITY_CERTIFICATE: of all of it */
        uint8_t let_in_by_mode; /* by owner, group and mode of a local socket that not everybody may connect to */
        uint8_t vouched;        /* the right that polkit has granted at the VM in question, see rights.h */
        union {
                uint32_t groups[IDENTITY_GROUPS_MAX];
                NameDigest names[IDENTITY_NAMES_MAX];
        };
} Identity;

/* What the kernel says of the peer of @fd, a connected local socket: SO_PEERCRED, SO_PEERGROUPS. */
void identity_init_socket(Identity *i, int fd, uid_t uid, gid_t gid);

/* Of a peer with more groups than fit: @gid is among those that are kept, if the peer is a member. */
void identity_keep_group(Identity *i, int fd, gid_t gid);

void identity_init_user(Identity *i, uid_t uid);

/* Returns: whether there was room. */
bool identity_add_group(Identity *i, gid_t gid);

/* @value: of @n bytes; @type: "CN", "O", "OU", "DNS", "email" or "URI". An anonymous identity becomes a certificate's. */
bool identity_add_name(Identity *i, const char *type, const void *value, size_t n);

/* What is in the certificate @der, which has been checked: attributes of the subject, and alternative names. */
void identity_init_certificate(Identity *i, const gnutls_datum_t *der);

/* Whether both are certainly the same person: the same user, or the same certificate. Of the anonymous that is never certain. */
bool identity_is_same(const Identity *a, const Identity *b);

bool identity_has_group(const Identity *i, gid_t gid);
bool identity_has_name(const Identity *i, const NameDigest *name);

/* The digest of a name written like "CN=monitor". Returns: 0, or -EINVAL if it is not written like that. */
int name_digest_parse(const char *text, NameDigest *ret);
