/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/worker.h"
#include "tls-context.h"

/* Bytes of the SHA-1 hash; shown as hex with colons */
#define TLS_THUMBPRINT_SIZE 20U

/*
 * TlsCredentials: our certificate and its key, and the authorities that TlsContext trusts, read from files or a token (PKCS#11).
 */
typedef struct TlsCredentials {
        gnutls_certificate_credentials_t gnutls;
        bool trusts_nobody;
        bool freed_in_thread;
        Worker freeing; /* see tls_credentials_free() */

        /* of our certificate, if there is one */
        char thumbprint[TLS_THUMBPRINT_SIZE * 3];
        time_t valid_from, valid_until;
} TlsCredentials;

/* May block for ever if there is a token. Returns: 0 or a negative errno, see tls_context_new(). */
int tls_credentials_new(const TlsParameters *parameters, TlsCredentials **ret, char **ret_problem);

/* A server whose key is in a token does not wait until the token has closed its session: a thread, which may never end, frees
 * the credentials. Returns: NULL. */
TlsCredentials *tls_credentials_free(TlsCredentials *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(TlsCredentials *, tls_credentials_free);

/* *ret_problem: the formatted text, to be freed; NULL if memory is short. Returns: @error. */
int tls_fail(char **ret_problem, int error, const char *format, ...) _printf_(3, 4);
