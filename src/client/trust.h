/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport/tls-session.h"

/*
 * Trust: which certificates of vspcd's are accepted in TLS, and our own certificate. For a handshake that
 * has failed it has words for people: what was expected, what was shown instead, and what can be done about
 * it.
 */
typedef struct Trust Trust;

/* Texts are borrowed; each may be NULL. */
typedef struct TrustOptions {
        const char *ca;          /* file of trusted authorities, instead of the system's */
        const char *certificate; /* ours */
        const char *key;         /* NULL: the key is in the certificate's file */
        const char *fingerprint; /* of vspcd's certificate, SHA-256 in hex, with or without colons */
} TrustOptions;

/* @host: the name or address as it was typed, for which vspcd's certificate must be valid. If a fingerprint
 * is given, nothing else is checked, unless @ca is given as well. Says what is wrong. Returns: 0 or a
 * negative errno. */
int trust_new(const TrustOptions *options, const char *host, Trust **ret);
Trust *trust_free(Trust *t);
DEFINE_TRIVIAL_CLEANUP_FUNC(Trust *, trust_free);

/* What a TlsSession is made with */
TlsContext *trust_context(const Trust *t);
const char *trust_host(const Trust *t);

/* Why @s has failed, or its handshake was not complete in time: lines without the last one's end, to be
 * freed; NULL if memory is short. */
char *trust_explain(const Trust *t, const TlsSession *s);
