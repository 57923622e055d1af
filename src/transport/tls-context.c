/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "basic/text.h"
#include "tls-chain.h"
#include "tls-credentials.h"

struct TlsContext {
        unsigned n_ref;
        bool server;
        TlsPeerCheck peer_check;
        bool has_fingerprint;
        uint8_t fingerprint[TLS_FINGERPRINT_SIZE];
        TlsWorker *worker;

        TlsCredentials *credentials;
        gnutls_priority_t priority;
        TicketKey *ticket_key;                   /* servers only; NULL: no tickets */
        uint8_t ticket_purpose[TICKET_KEY_SIZE]; /* a hash of everything that a ticket vouches for */
        bool resumes;                            /* clients only: keeps a ticket */
        gnutls_datum_t ticket;                   /* empty: there is no ticket */
};

static int load_priority(TlsContext *c, const char *priority, char **ret_problem) {
        const char *rest = "";

        int r = gnutls_priority_init(&c->priority, priority, &rest);
        if (r == GNUTLS_E_INVALID_REQUEST)
                return tls_fail(ret_problem, -EINVAL, "GnuTLS does not understand \"%s\" in the priority string \"%s\"",
                                rest, priority);
        if (r < 0)
                return tls_fail(ret_problem, -EINVAL, "The priority string \"%s\" cannot be used: %s", priority,
                                gnutls_strerror(r));

        return 0;
}

/* Hashes a piece with its length, so that pieces cannot be shifted against each other. */
static int hash_piece(gnutls_hash_hd_t hash, const void *data, size_t n) {
        uint64_t size = n;

        int r = gnutls_hash(hash, &size, sizeof size);
        return r >= 0 && n > 0 ? gnutls_hash(hash, data, n) : r;
}

/* Ends a list of pieces with an empty one, so that its last piece cannot count as the first one of the next list: no
 * piece is empty. */
static int hash_end(gnutls_hash_hd_t hash) {
        return hash_piece(hash, NULL, 0);
}

static int hash_chain(gnutls_hash_hd_t hash, gnutls_certificate_credentials_t credentials) {
        gnutls_datum_t der;
        int r = 0;

        for (unsigned i = 0; r >= 0; i++) {
                r = gnutls_certificate_get_crt_raw(credentials, 0, i, &der);
                if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                        return hash_end(hash);
                if (r >= 0)
                        r = hash_piece(hash, der.data, der.size);
        }

        return r;
}

static int hash_trust(gnutls_hash_hd_t hash, gnutls_certificate_credentials_t credentials) {
        gnutls_x509_trust_list_iter_t iterator = NULL;
        gnutls_x509_trust_list_t list;
        gnutls_x509_crt_t authority;
        int r = 0;

        gnutls_certificate_get_trust_list(credentials, &list);
        while (r >= 0) {
                gnutls_datum_t der;

                r = gnutls_x509_trust_list_iter_get_ca(list, &iterator, &authority);
                if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
                        r = hash_end(hash);
                        break;
                }
                if (r < 0)
                        break;

                r = gnutls_x509_crt_export2(authority, GNUTLS_X509_FMT_DER, &der);
                if (r >= 0) {
                        r = hash_piece(hash, der.data, der.size);
                        gnutls_free(der.data);
                }
                gnutls_x509_crt_deinit(authority);
        }
        gnutls_x509_trust_list_iter_deinit(iterator);

        return r;
}

/*
 * A peer that resumes a session is not checked again. So a ticket must only be accepted where the same would be asked for:
 * the key depends on the settings and on our certificate. It depends on the version of GnuTLS too, because GnuTLS defines
 * what is in a ticket.
 */
static int hash_ticket_purpose(TlsContext *c, const char *priority) {
        const char *version = gnutls_check_version(NULL);
        gnutls_hash_hd_t hash;

        int r = gnutls_hash_init(&hash, GNUTLS_DIG_SHA512);
        if (r < 0)
                return -ENOMEM;

        r = hash_piece(hash, version, strlen(version));
        if (r >= 0)
                r = hash_piece(hash, priority, strlen(priority));
        if (r >= 0)
                r = hash_piece(hash, &c->peer_check, sizeof c->peer_check);
        if (r >= 0)
                r = hash_chain(hash, c->credentials->gnutls);
        if (r >= 0)
                r = hash_trust(hash, c->credentials->gnutls);
        gnutls_hash_deinit(hash, c->ticket_purpose);

        return r < 0 ? -ENOMEM : 0;
}

int tls_context_new(const TlsParameters *p, TlsContext **ret, char **ret_problem) {
        const char *priority = p->priority ?: TLS_PRIORITY_DEFAULT;

        *ret_problem = NULL;

        _cleanup_(tls_context_unrefp) TlsContext *c = calloc(1, sizeof(TlsContext));
        if (!c)
                return -ENOMEM;

        c->n_ref = 1;
        c->server = p->role == TLS_SERVER;
        c->peer_check = p->peer_check;
        c->resumes = p->resumes;
        c->ticket_key = p->ticket_key;
        c->worker = p->worker;
        if (p->fingerprint) {
                c->has_fingerprint = true;
                memcpy(c->fingerprint, p->fingerprint, TLS_FINGERPRINT_SIZE);
        }

        int r = load_priority(c, priority, ret_problem);
        if (r < 0)
                return r;

        assert(!c->server || p->certificate_file);
        r = tls_credentials_new(p, &c->credentials, ret_problem);
        if (r < 0)
                return r;

        if (c->ticket_key) {
                r = hash_ticket_purpose(c, priority);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(c);
        return 0;
}

TlsContext *tls_context_ref(TlsContext *c) {
        c->n_ref++;
        return c;
}

TlsContext *tls_context_unref(TlsContext *c) {
        if (!c || --c->n_ref > 0)
                return NULL;

        gnutls_free(c->ticket.data);
        if (c->priority)
                gnutls_priority_deinit(c->priority);
        tls_credentials_free(c->credentials);
        free(c);
        return NULL;
}

const char *tls_context_thumbprint(const TlsContext *c) {
        return c->credentials->thumbprint;
}

const char *tls_context_validity_problem(const TlsContext *c, time_t now) {
        if (now < c->credentials->valid_from)
                return "is not valid yet";
        if (now > c->credentials->valid_until)
                return "has expired";

        return NULL;
}

bool tls_context_trusts_nobody(const TlsContext *c) {
        return c->credentials->trusts_nobody;
}

bool tls_context_is_server(const TlsContext *c) {
        return c->server;
}

bool tls_context_wants_certificate(const TlsContext *c) {
        return !c->server || c->peer_check != TLS_PEER_ANY;
}

TlsWorker *tls_context_worker(const TlsContext *c) {
        return c->worker;
}

/* GnuTLS keeps a copy of the key, and derives further keys from it as time goes by. */
static int start_tickets(TlsContext *c, gnutls_session_t session) {
        uint8_t key[TICKET_KEY_SIZE];

        int r = ticket_key_derive(c->ticket_key, c->ticket_purpose, key);
        if (r >= 0) {
                gnutls_db_set_cache_expiration(session, TICKET_KEY_USEC / USEC_PER_SEC);
                r = gnutls_session_ticket_enable_server(session, &(gnutls_datum_t){key, sizeof key});
        }
        explicit_bzero(key, sizeof key);

        return r;
}

static int start_server(TlsContext *c, gnutls_session_t session) {
        static const gnutls_certificate_request_t requests[] = {
                [TLS_PEER_ANY] = GNUTLS_CERT_IGNORE,
                [TLS_PEER_IF_PRESENT] = GNUTLS_CERT_REQUEST,
                [TLS_PEER_REQUIRED] = GNUTLS_CERT_REQUIRE,
        };

        gnutls_certificate_server_set_request(session, requests[c->peer_check]);
        return c->ticket_key ? start_tickets(c, session) : 0;
}

static bool is_address(const char *host) {
        struct in6_addr address;

        return inet_pton(AF_INET, host, &address) > 0 || inet_pton(AF_INET6, host, &address) > 0;
}

/* The name is not sent if it is an IP address (RFC 6066, 3). */
static int start_client(TlsContext *c, gnutls_session_t session, const char *host) {
        if (c->ticket.data) /* a ticket that cannot be used any more is ignored */
                (void) gnutls_session_set_data(session, c->ticket.data, c->ticket.size);

        return host && !is_address(host) ? gnutls_server_name_set(session, GNUTLS_NAME_DNS, host, strlen(host)) : 0;
}

int tls_context_start_session(TlsContext *c, const char *host, gnutls_session_t *ret) {
        unsigned flags = (c->server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
        gnutls_session_t session;

        if (c->server && !c->ticket_key)
                flags |= GNUTLS_NO_TICKETS;

        int r = gnutls_init(&session, flags);
        if (r < 0)
                return -ENOMEM;

        r = gnutls_priority_set(session, c->priority);
        if (r >= 0)
                r = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->credentials->gnutls);
        if (r >= 0)
                r = c->server ? start_server(c, session) : start_client(c, session, host);
        if (r < 0) {
                gnutls_deinit(session);
                return -ENOMEM;
        }

        *ret = session;
        return 0;
}

void tls_context_keep_ticket(TlsContext *c, gnutls_session_t session) {
        gnutls_datum_t ticket;

        /* Without the flag GnuTLS would wait for a ticket. */
        if (!c->resumes || !(gnutls_session_get_flags(session) & GNUTLS_SFLAGS_SESSION_TICKET) ||
            gnutls_session_get_data2(session, &ticket) < 0)
                return;

        gnutls_free(c->ticket.data);
        c->ticket = ticket;
}

static bool fingerprint_fits(const TlsContext *c, const gnutls_datum_t *certificate) {
        uint8_t hash[TLS_FINGERPRINT_SIZE];
        size_t size = sizeof hash;

        return gnutls_fingerprint(GNUTLS_DIG_SHA256, certificate, hash, &size) >= 0 &&
               gnutls_memcmp(hash, c->fingerprint, sizeof hash) == 0;
}

int tls_context_check_peer(const TlsContext *c, gnutls_session_t session, const char *host, char **ret_problem) {
        unsigned n = 0, status = 0;
        const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
        gnutls_datum_t text;

        *ret_problem = NULL;
        if (!chain || n == 0)
                return c->peer_check == TLS_PEER_REQUIRED || c->has_fingerprint
                               ? tls_fail(ret_problem, -EACCES, "it has no certificate") : 0;

        if (c->has_fingerprint && !fingerprint_fits(c, &chain[0]))
                return tls_fail(ret_problem, -EACCES, "its certificate has another fingerprint");

        if (c->peer_check == TLS_PEER_ANY)
                return 0;

        gnutls_typed_vdata_st purposes[] = {
                {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                 .data = (void *) (c->server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER)},
                {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (void *) host},
        };
        int r = gnutls_certificate_verify_peers(session, purposes, host ? 2 : 1, &status);
        if (r < 0)
                return tls_fail(ret_problem, -EACCES, "its certificate cannot be checked: %s", gnutls_strerror(r));
        if (status == 0)
                return 0;

        if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0)
                return tls_fail(ret_problem, -EACCES, "its certificate is not trusted");

        /* The text is one or more sentences and a space. Our message goes on after it, so its last full stop is left out. */
        _cleanup_free_ char *issuer =
                status & GNUTLS_CERT_SIGNER_NOT_FOUND ? tls_chain_describe_unknown_issuer(chain, n) : NULL;
        (void) tls_fail(ret_problem, 0, "%.*s%s%s", (int) text_sentence_length((const char *) text.data, text.size),
                        (const char *) text.data, issuer ? ". " : "", issuer ?: "");
        gnutls_free(text.data);
        return -EACCES;
}
