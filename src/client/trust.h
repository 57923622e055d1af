/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport/tls-session.h"

/*
 * Trust: decides which certificates of vspcd are accepted in TLS, and contains our own certificate. It explains
 * failed handshakes: what was expected, what was shown instead, and what can be done.
 */
typedef struct Trust Trust;

/* Strings are borrowed and may be NULL. */
typedef struct TrustOptions {
        const char *ca;          /* file with trusted authorities, instead of the system's */
        const char *certificate; /* ours */
        const char *key;         /* NULL: the key is in the certificate's file */
        const char *fingerprint; /* of vspcd's certificate, SHA-256 in hex, with or without colons */
} TrustOptions;

/* @host: the name or address as given by the user, for which vspcd's certificate must be valid. If a fingerprint
 * is given, nothing else is checked, unless @ca is given as well. Returns: 0, or a negative errno after a message. */
int trust_new(const TrustOptions *options, const char *host, Trust **ret);
Trust *trust_free(Trust *t);
DEFINE_TRIVIAL_CLEANUP_FUNC(Trust *, trust_free);

/* Returns: the context for TlsSessions. */
TlsContext *trust_context(const Trust *t);
const char *trust_host(const Trust *t);

/* Returns: the reason why the handshake of @s has failed or timed out, in lines without a newline at the end, to
 * be freed; NULL if memory is short. */
char *trust_explain(const Trust *t, const TlsSession *s);
