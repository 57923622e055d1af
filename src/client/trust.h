/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport/tls-session.h"

/*
 * Trust: whom we take for vspcd in TLS, and how we say who we are. If it fails it has the words for people:
 * what was expected, what has come instead, and what can be done about it.
 */
typedef struct Trust Trust;

/* Texts are borrowed; each may be NULL. */
typedef struct TrustOptions {
        const char *ca;          /* file of those who are trusted, instead of the system's */
        const char *certificate; /* ours */
        const char *key;         /* NULL: it is in the certificate's file */
        const char *fingerprint; /* of vspcd's certificate, SHA-256 in hex, with or without colons */
} TrustOptions;

/* @host: where vspcd is as the person has put it, the name or address that its certificate must be for. Of a
 * certificate of which the fingerprint is known nothing else is wanted, unless there is @ca as well.
 * *ret_problem: why not, for people, to be freed; may be NULL even so. Returns: 0 or a negative errno. */
int trust_new(const TrustOptions *options, const char *host, Trust **ret, char **ret_problem);
Trust *trust_free(Trust *t);
DEFINE_TRIVIAL_CLEANUP_FUNC(Trust *, trust_free);

/* What a TlsSession begins with */
TlsContext *trust_context(const Trust *t);
const char *trust_host(const Trust *t);

/* Why @s has failed, or has not been opened in time: one line or more without the last one's end, to be
 * freed; NULL if memory is short. */
char *trust_explain(const Trust *t, const TlsSession *s);
