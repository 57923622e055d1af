/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gnutls/gnutls.h>
#include <sys/types.h>

#include "basic/macro.h"

/*
 * Identity: a person or program, as far as rights depend on it: a local user with groups, the holder of a certificate, or
 * anonymous. It is a plain record of fixed size without pointers. A client keeps it while it is connected, because rights are
 * decided again when the configuration changes.
 *
 * Names in a certificate are only compared, so they are kept as digests of "CN=monitor", "DNS=host.example.org" and so on. Groups
 * and names that do not fit are left out. This can only reduce rights.
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
        NameDigest certificate; /* IDENTITY_CERTIFICATE: digest of the whole certificate */
        uint8_t let_in_by_mode; /* connected to a local socket whose owner, group and mode do not admit everybody */
        uint8_t vouched;        /* the right that polkit has granted at a VM, see rights.h */
        union {
                uint32_t groups[IDENTITY_GROUPS_MAX];
                NameDigest names[IDENTITY_NAMES_MAX];
        };
} Identity;

/* Initializes the identity of the peer of @fd, a connected local socket, from SO_PEERCRED (@uid, @gid) and SO_PEERGROUPS. */
void identity_init_socket(Identity *i, int fd, uid_t uid, gid_t gid);

/* For a peer with more groups than fit: if it is a member of @gid, makes sure that this group is kept. */
void identity_keep_group(Identity *i, int fd, gid_t gid);

void identity_init_user(Identity *i, uid_t uid);

/* Returns: whether there was room. */
bool identity_add_group(Identity *i, gid_t gid);

/* @value: of @n bytes; @type: "CN", "O", "OU", "DNS", "email" or "URI". An anonymous identity becomes a certificate's. */
bool identity_add_name(Identity *i, const char *type, const void *value, size_t n);

/* Initializes the identity from the certificate @der, which must have been verified: attributes of the subject, and alternative
 * names. */
void identity_init_certificate(Identity *i, const gnutls_datum_t *der);

/* Returns: whether both are certainly the same person: the same user, or the same certificate. False for anonymous people. */
bool identity_is_same(const Identity *a, const Identity *b);

bool identity_has_group(const Identity *i, gid_t gid);
bool identity_has_name(const Identity *i, const NameDigest *name);

/* Computes the digest of a name such as "CN=monitor". Returns: 0, or -EINVAL if @text does not have this form. */
int name_digest_parse(const char *text, NameDigest *ret);
