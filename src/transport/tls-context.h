/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gnutls/gnutls.h>
#include <time.h>

#include "basic/macro.h"
#include "ticket-key.h"
#include "tls-worker.h"

/*
 * TlsContext: the TLS settings that connections share: our certificate, which peers are trusted, protocol versions and
 * ciphers. It never changes: a renewed certificate needs a new context, and existing sessions keep the old one. A session
 * ticket is valid for all contexts with the same settings.
 *
 * Reference-counted. Only one thread at a time may use the functions that change the count.
 */
typedef struct TlsContext TlsContext;

#define TLS_PRIORITY_DEFAULT "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* SHA-256 of a certificate as it is sent (DER) */
#define TLS_FINGERPRINT_SIZE 32U

typedef enum TlsPeerCheck {
        TLS_PEER_ANY,        /* a server asks for no certificate; a client accepts any */
        TLS_PEER_IF_PRESENT, /* server: the client need not have a certificate, but if it has one, it must be trusted */
        TLS_PEER_REQUIRED,   /* the peer must have a trusted certificate; a server's must be for its name */
} TlsPeerCheck;

typedef struct TlsParameters {
        enum { TLS_SERVER, TLS_CLIENT } role;

        /* Paths of PEM files, or URIs that GnuTLS supports (pkcs11:). A server needs a certificate; for a client it may be
         * NULL. key_file: NULL if the key is in the certificate's file. */
        const char *certificate_file, *key_file;

        TlsPeerCheck peer_check;
        const char *trusted_ca_file; /* PEM; NULL: the system's trusted authorities */
        const uint8_t *fingerprint;  /* client: the fingerprint of the server, TLS_FINGERPRINT_SIZE bytes; or NULL */

        const char *priority;  /* a priority string of GnuTLS; NULL: TLS_PRIORITY_DEFAULT */
        TicketKey *ticket_key; /* server: clients may resume sessions; NULL: they may not. Must outlive the context */
        bool resumes;          /* client: resume the last session */
        TlsWorker *worker;     /* performs the handshakes; NULL: they are performed in the caller's thread */
} TlsParameters;

/* Reads files and may use tokens (PKCS#11), which may block for ever: do not call it from an event loop. It may be called in
 * another thread, because it uses neither @ticket_key nor @worker. *ret_problem: a description of the failure, to be freed;
 * NULL if memory is short. Returns: 0 or a negative errno. */
int tls_context_new(const TlsParameters *parameters, TlsContext **ret, char **ret_problem);
TlsContext *tls_context_ref(TlsContext *c);
TlsContext *tls_context_unref(TlsContext *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(TlsContext *, tls_context_unref);

/* Of our certificate: its thumbprint as ESXi shows it (SHA-1 in hex with colons); and "has expired" or "is not valid yet",
 * NULL if it is valid. */
const char *tls_context_thumbprint(const TlsContext *c);
const char *tls_context_validity_problem(const TlsContext *c, time_t now);

/* Returns: whether the system's trusted authorities are used, and there are none. */
bool tls_context_trusts_nobody(const TlsContext *c);

bool tls_context_is_server(const TlsContext *c);
TlsWorker *tls_context_worker(const TlsContext *c);

/* For TlsSession: starts a session with these settings. @host: client: the name that the server's certificate must be for, or
 * NULL. Returns: 0 or -ENOMEM. */
int tls_context_start_session(TlsContext *c, const char *host, gnutls_session_t *ret);

/* For TlsSession. Returns: whether the peer sends its certificate. */
bool tls_context_wants_certificate(const TlsContext *c);

/* For TlsSession: keeps the ticket of a client's session that ends, so that the next session can resume it. */
void tls_context_keep_ticket(TlsContext *c, gnutls_session_t session);

/* For TlsSession, in any thread: checks the peer's certificate. *ret_problem: why it is refused, to be freed; NULL if memory
 * is short. Returns: 0 or -EACCES. */
int tls_context_check_peer(const TlsContext *c, gnutls_session_t session, const char *host, char **ret_problem);
