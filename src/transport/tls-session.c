/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <stdio.h>

#include "basic/text.h"
#include "tls-session.h"

/* Renegotiations that are declined, and alerts that mean nothing, before the peer counts as one that wants to keep us
 * busy. A peer in its right mind does neither. */
#define NUISANCES_MAX 16U

struct TlsSession {
        TlsContext *context;
        gnutls_session_t gnutls;
        int fd;
        char *host; /* the name that the peer must have, or NULL */

        bool open;
        bool wants_write;
        size_t unsent; /* bytes that have been taken, of a record that the socket has not taken */
        unsigned n_nuisances;
        bool peer_refused;
        char *problem;
        char *peer_name;
};

/* Keeps the first problem: what comes after it follows from it. */
static int session_fail(TlsSession *s, int error) {
        gnutls_alert_description_t alert = gnutls_alert_get(s->gnutls);
        char *text = NULL;

        if (s->problem)
                return -EPROTO;

        if (error != GNUTLS_E_FATAL_ALERT_RECEIVED && error != GNUTLS_E_WARNING_ALERT_RECEIVED)
                s->problem = strdup(gnutls_strerror(error));
        else if (asprintf(&text, "the peer says: %s", gnutls_alert_get_name(alert) ?: "(an unknown alert)") >= 0)
                s->problem = text;

        return -EPROTO;
}

static int check_peer(gnutls_session_t gnutls) {
        TlsSession *s = gnutls_session_get_ptr(gnutls);
        _cleanup_free_ char *problem = NULL;

        if (tls_context_check_peer(s->context, gnutls, s->host, &problem) >= 0)
                return 0;

        s->peer_refused = true;
        if (!s->problem)
                s->problem = TAKE_PTR(problem);
        return GNUTLS_E_CERTIFICATE_ERROR;
}

int tls_session_new(TlsContext *context, int fd, const char *host, TlsSession **ret) {
        _cleanup_(tls_session_freep) TlsSession *s = calloc(1, sizeof(TlsSession));
        if (!s)
                return -ENOMEM;

        s->fd = fd;
        s->context = tls_context_ref(context);
        if (host && !(s->host = strdup(host)))
                return -ENOMEM;

        int r = tls_context_start_session(context, host, &s->gnutls);
        if (r < 0)
                return r;

        gnutls_session_set_ptr(s->gnutls, s);
        gnutls_session_set_verify_function(s->gnutls, check_peer);
        gnutls_transport_set_int(s->gnutls, fd);
        *ret = TAKE_PTR(s);
        return 0;
}

TlsSession *tls_session_free(TlsSession *s) {
        if (!s)
                return NULL;

        if (s->open)
                tls_context_keep_ticket(s->context, s->gnutls);
        if (s->gnutls)
                gnutls_deinit(s->gnutls);
        tls_context_unref(s->context);
        free(s->host);
        free(s->problem);
        free(s->peer_name);
        free(s);
        return NULL;
}

/* GnuTLS would have to wait. */
static bool is_transient(TlsSession *s, ssize_t r) {
        if (r != GNUTLS_E_AGAIN && r != GNUTLS_E_INTERRUPTED)
                return false;

        s->wants_write = gnutls_record_get_direction(s->gnutls) == 1;
        return true;
}

/* A certificate that was good when the session began may not be any more, or others are trusted now. */
static int handshake_complete(TlsSession *s) {
        int r = gnutls_session_is_resumed(s->gnutls) ? check_peer(s->gnutls) : 0;
        if (r < 0) {
                (void) gnutls_alert_send_appropriate(s->gnutls, r);
                return session_fail(s, r);
        }

        s->open = true;
        return 1;
}

int tls_session_handshake(TlsSession *s) {
        s->wants_write = false;

        for (;;) {
                int r = gnutls_handshake(s->gnutls);
                if (r >= 0)
                        return handshake_complete(s);
                if (is_transient(s, r))
                        return 0;
                if (!gnutls_error_is_fatal(r) && s->n_nuisances++ < NUISANCES_MAX)
                        continue;

                if (r != GNUTLS_E_FATAL_ALERT_RECEIVED)
                        (void) gnutls_alert_send_appropriate(s->gnutls, r);
                return session_fail(s, r);
        }
}

ssize_t tls_session_read(TlsSession *s, void *data, size_t n) {
        s->wants_write = false;

        for (;;) {
                ssize_t r = gnutls_record_recv(s->gnutls, data, n);
                if (r >= 0)
                        return r;
                if (is_transient(s, r))
                        return -EAGAIN;

                /* RFC 5746 and RFC 8446 would rather have nobody renegotiate, and nobody needs to. */
                if (r == GNUTLS_E_REHANDSHAKE)
                        (void) gnutls_alert_send(s->gnutls, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
                if (!gnutls_error_is_fatal((int) r) && s->n_nuisances++ < NUISANCES_MAX)
                        continue;

                (void) session_fail(s, (int) r);
                if (r == GNUTLS_E_PREMATURE_TERMINATION)
                        return -ECONNRESET;
                if (r != GNUTLS_E_FATAL_ALERT_RECEIVED && r != GNUTLS_E_PULL_ERROR)
                        (void) gnutls_alert_send_appropriate(s->gnutls, (int) r);
                return -EPROTO;
        }
}

int tls_session_flush(TlsSession *s) {
        if (s->unsent == 0)
                return 1;

        ssize_t r = gnutls_record_send(s->gnutls, NULL, 0);
        if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED)
                return 0;

        if (r < 0)
                return -EPIPE;

        /* What it has sent is what it said that it had taken. */
        if ((size_t) r != s->unsent)
                return session_fail(s, GNUTLS_E_INTERNAL_ERROR);

        s->unsent = 0;
        return 1;
}

/* GnuTLS keeps a record that the socket does not take. */
ssize_t tls_session_write(TlsSession *s, const void *data, size_t n) {
        int flushed = tls_session_flush(s);
        if (flushed <= 0)
                return flushed < 0 ? flushed : -EAGAIN;

        n = MIN(n, gnutls_record_get_max_size(s->gnutls));
        if (n == 0)
                return 0;

        ssize_t r = gnutls_record_send(s->gnutls, data, n);
        if (r >= 0)
                return r;
        if (r != GNUTLS_E_AGAIN && r != GNUTLS_E_INTERRUPTED)
                return -EPIPE;

        s->unsent = n;
        return (ssize_t) n;
}

void tls_session_bye(TlsSession *s) {
        if (s->open && !s->problem)
                (void) gnutls_bye(s->gnutls, GNUTLS_SHUT_WR);
}

bool tls_session_is_open(const TlsSession *s) {
        return s->open;
}

bool tls_session_wants_write(const TlsSession *s) {
        return s->wants_write;
}

bool tls_session_is_flushed(const TlsSession *s) {
        return s->unsent == 0;
}

size_t tls_session_unsent(const TlsSession *s) {
        return s->unsent;
}

size_t tls_session_unread(const TlsSession *s) {
        return gnutls_record_check_pending(s->gnutls);
}

TlsContext *tls_session_context(const TlsSession *s) {
        return s->context;
}

int tls_session_fd(const TlsSession *s) {
        return s->fd;
}

const char *tls_session_problem(const TlsSession *s) {
        return s->problem ?: "";
}

bool tls_session_peer_is_refused(const TlsSession *s) {
        return s->peer_refused;
}

bool tls_session_is_asked_for_certificate(const TlsSession *s) {
        return gnutls_certificate_client_get_request_status(s->gnutls) != 0;
}

/* GnuTLS writes TLS1.3 where all others, OpenSSL but for its "v" among them, have a space. */
const char *tls_session_version(const TlsSession *s) {
        switch (gnutls_protocol_get_version(s->gnutls)) {
        case GNUTLS_TLS1_3:
                return "TLS 1.3";
        case GNUTLS_TLS1_2:
                return "TLS 1.2";
        case GNUTLS_TLS1_1:
                return "TLS 1.1";
        case GNUTLS_TLS1_0:
                return "TLS 1.0";
        default:
                return gnutls_protocol_get_name(gnutls_protocol_get_version(s->gnutls)) ?: "?";
        }
}

const char *tls_session_cipher(const TlsSession *s) {
        return gnutls_cipher_get_name(gnutls_cipher_get(s->gnutls)) ?: "?";
}

bool tls_session_is_resumed(const TlsSession *s) {
        return gnutls_session_is_resumed(s->gnutls);
}

/* In a certificate an address is 4 or 16 bytes. */
static bool format_address(char *buffer, size_t *size, size_t max) {
        uint8_t address[sizeof(struct in6_addr)];

        if (*size != sizeof(struct in_addr) && *size != sizeof(struct in6_addr))
                return false;

        memcpy(address, buffer, *size);
        if (!inet_ntop(*size == sizeof(struct in_addr) ? AF_INET : AF_INET6, address, buffer, (socklen_t) max))
                return false;

        *size = strlen(buffer);
        return true;
}

/* *size: of @buffer, then of what is in it. */
static bool take_name(gnutls_x509_crt_t certificate, char *buffer, size_t *size) {
        size_t max = *size;

        if (gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, buffer, size) >= 0)
                return true;

        *size = max;
        switch (gnutls_x509_crt_get_subject_alt_name(certificate, 0, buffer, size, NULL)) {

        case GNUTLS_SAN_DNSNAME:
        case GNUTLS_SAN_RFC822NAME:
        case GNUTLS_SAN_URI:
                return true;

        case GNUTLS_SAN_IPADDRESS:
                return format_address(buffer, size, max);

        default: /* an error, or nothing that is text */
                return false;
        }
}

static char *read_peer_name(const TlsSession *s) {
        unsigned n = 0;
        const gnutls_datum_t *chain = gnutls_certificate_get_peers(s->gnutls, &n);
        gnutls_x509_crt_t certificate;
        char name[1024];
        size_t size = sizeof name;

        if (!chain || n == 0 || gnutls_x509_crt_init(&certificate) < 0)
                return NULL;

        bool found = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
                     take_name(certificate, name, &size);
        gnutls_x509_crt_deinit(certificate);

        return found ? text_sanitize(name, size, TLS_PEER_NAME_MAX) : NULL;
}

const char *tls_session_peer_name(const TlsSession *s) {
        if (!s->peer_name)
                ((TlsSession *) s)->peer_name = read_peer_name(s);

        return s->peer_name ?: "";
}

bool tls_session_peer_fingerprint(const TlsSession *s, uint8_t ret[static TLS_FINGERPRINT_SIZE]) {
        unsigned n = 0;
        const gnutls_datum_t *chain = gnutls_certificate_get_peers(s->gnutls, &n);
        size_t size = TLS_FINGERPRINT_SIZE;

        return chain && n > 0 && gnutls_fingerprint(GNUTLS_DIG_SHA256, &chain[0], ret, &size) >= 0;
}
