/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gnutls/gnutls.h>
#include <time.h>

#include "basic/macro.h"
#include "ticket-key.h"
#include "tls-worker.h"

/*
 * TlsContext: what the connections of one kind have in common in TLS: our certificate, whom of the peers is
 * believed, protocol versions and ciphers. It never changes: a renewed certificate is another context, and
 * sessions that have begun with the old one keep that. Session tickets are good for all contexts that are alike.
 *
 * Counted references, of one thread at a time.
 */
typedef struct TlsContext TlsContext;

#define TLS_PRIORITY_DEFAULT "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* SHA-256 of a certificate as it is sent (DER) */
#define TLS_FINGERPRINT_SIZE 32U

typedef enum TlsPeerCheck {
        TLS_PEER_ANY,        /* it is not asked for a certificate, or whatever it has will do */
        TLS_PEER_IF_PRESENT, /* server: one that it has must be good */
        TLS_PEER_REQUIRED,   /* it must have a good one; of a server: for the name that was asked for */
} TlsPeerCheck;

typedef struct TlsParameters {
        enum { TLS_SERVER, TLS_CLIENT } role;

        /* Paths of PEM files, or URIs that GnuTLS knows (pkcs11:). A server must have a certificate, a client
         * need not. NULL as key_file: the key is in the certificate's file. */
        const char *certificate_file, *key_file;

        TlsPeerCheck peer_check;
        const char *trusted_ca_file; /* PEM; NULL: those of the system */
        const uint8_t *fingerprint;  /* client: the server's, TLS_FINGERPRINT_SIZE bytes; or NULL */

        const char *priority;  /* GnuTLS's priority string; NULL: TLS_PRIORITY_DEFAULT */
        TicketKey *ticket_key; /* server: peers may resume their sessions; NULL: they may not. Outlives the context */
        bool resumes;          /* client: it resumes its last session */
        TlsWorker *worker;     /* does the handshakes; NULL: the thread of whoever has the connection */
} TlsParameters;

/* Reads files and may ask tokens, which may take for ever: not for an event loop. The context may be handed to another
 * thread, for neither @ticket_key nor @worker is touched. *ret_problem: why not, for
 * people, to be freed; may be NULL even so. Returns: 0 or a negative errno. */
int tls_context_new(const TlsParameters *parameters, TlsContext **ret, char **ret_problem);
TlsContext *tls_context_ref(TlsContext *c);
TlsContext *tls_context_unref(TlsContext *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(TlsContext *, tls_context_unref);

/* Of our certificate: what ESXi calls its thumbprint, SHA-1 in hex with colons; and "has expired" or the like, or
 * NULL if it is valid. */
const char *tls_context_thumbprint(const TlsContext *c);
const char *tls_context_validity_problem(const TlsContext *c, time_t now);

/* Where it is for the system to say who is trusted, and that says nobody. */
bool tls_context_trusts_nobody(const TlsContext *c);

bool tls_context_is_server(const TlsContext *c);
TlsWorker *tls_context_worker(const TlsContext *c);

/* For TlsSession: one that has all of this. @host: of a client, the name that the server has to have, or NULL.
 * Returns: 0 or -ENOMEM. */
int tls_context_start_session(TlsContext *c, const char *host, gnutls_session_t *ret);

/* For TlsSession: whether a peer is asked for its certificate. */
bool tls_context_wants_certificate(const TlsContext *c);

/* For TlsSession: of a client's session that ends, what the next one resumes. */
void tls_context_keep_ticket(TlsContext *c, gnutls_session_t session);

/* For TlsSession, in whatever thread: whether the peer is who it has to be. *ret_problem: why not, to be freed; may be
 * NULL even so. Returns: 0 or -EACCES. */
int tls_context_check_peer(const TlsContext *c, gnutls_session_t session, const char *host, char **ret_problem);
