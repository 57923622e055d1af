/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <sys/socket.h>

#include "basic/buffer.h"
#include "basic/text.h"
#include "tls-session.h"

/* Renegotiations that are declined, and alerts without consequences, that a peer may send. A normal peer sends none;
 * a peer that sends more wants to keep us busy. GnuTLS allows 16 in a handshake and then reports an internal error. */
#define NUISANCES_MAX 8U

/* Nothing is written while something is unsent. So this is one record, answers to renegotiations, or our whole part
 * of a handshake: mostly a chain of certificates, which GnuTLS limits to the same size. */
#define UNSENT_MAX (256U * 1024U)

/* Bytes that GnuTLS may read without a result: a record, or the peer's part of a handshake. If a chain of
 * certificates is in it, that is most of it. */
#define GATHERED_MAX (32U * 1024U)
#define GATHERED_WITH_CHAIN_MAX (256U * 1024U)

/* Bytes of an alert with the header of its record */
#define ALERT_SIZE 7U

struct TlsSession {
        TlsContext *context;
        gnutls_session_t gnutls;
        int fd;
        char *host; /* the name that the peer's certificate must have, or NULL */

        bool open;
        size_t n_gathered;        /* bytes read since GnuTLS last had a result */
        uint8_t last[ALERT_SIZE]; /* the last of these, during the handshake */
        Buffer unsent; /* output of GnuTLS that the socket has not taken yet */
        int read_error; /* 0: no error so far */
        unsigned n_nuisances;
        bool peer_refused;
        char *problem;
        char *peer_name;
};

/* GnuTLS's text is a sentence. The caller needs a part of one. */
static char *describe_error(int error) {
        const char *text = gnutls_strerror(error);

        return strndup(text, text_sentence_length(text, strlen(text)));
}

/* A client that does not accept our certificate may say so in plain text, even in TLS 1.3: OpenSSL encrypts only
 * after it has accepted the certificate. GnuTLS fails to decrypt the alert. */
static bool is_plain_alert(const TlsSession *s, int error) {
        static const uint8_t header[] = {21, 3, 3, 0, 2, GNUTLS_AL_FATAL};

        return !s->open && error == GNUTLS_E_DECRYPTION_FAILED && memcmp(s->last, header, sizeof header) == 0;
}

/* Keeps the first problem: later ones follow from it. */
static int session_fail(TlsSession *s, int error) {
        gnutls_alert_description_t alert = gnutls_alert_get(s->gnutls);

        if (s->problem)
                return -EPROTO;

        if (is_plain_alert(s, error)) {
                error = GNUTLS_E_FATAL_ALERT_RECEIVED;
                alert = s->last[ALERT_SIZE - 1];
        }

        if (error == GNUTLS_E_CERTIFICATE_REQUIRED || error == GNUTLS_E_NO_CERTIFICATE_FOUND)
                s->problem = strdup("it has no certificate"); /* one text for all versions of TLS */
        else if (error == GNUTLS_E_PULL_ERROR)
                s->problem = strdup("the connection has been reset");
        else if (error != GNUTLS_E_FATAL_ALERT_RECEIVED && error != GNUTLS_E_WARNING_ALERT_RECEIVED)
                s->problem = describe_error(error);
        else
                s->problem = text_format("the peer says: %s", gnutls_alert_get_name(alert) ?: "(an unknown alert)");

        return -EPROTO;
}

/* In a certificate an IP address is 4 or 16 bytes. */
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

/* *size: the size of @buffer; then that of the name in it */
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

        default: /* an error, or a name that is not text */
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

static int check_peer(gnutls_session_t gnutls) {
        TlsSession *s = gnutls_session_get_ptr(gnutls);
        _cleanup_free_ char *problem = NULL;

        free(s->peer_name);
        s->peer_name = read_peer_name(s);
        if (tls_context_check_peer(s->context, gnutls, s->host, &problem) >= 0)
                return 0;

        s->peer_refused = true;
        if (!s->problem)
                s->problem = TAKE_PTR(problem);
        return GNUTLS_E_CERTIFICATE_ERROR;
}

/* Returns: bytes sent; 0 if the socket is full; or a negative errno. */
static ssize_t session_send(TlsSession *s, const struct iovec *iov, size_t n) {
        struct msghdr message = {.msg_iov = (struct iovec *) iov, .msg_iovlen = n};
        ssize_t k = sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (k < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM))
                return 0;

        return k >= 0 ? k : -errno;
}

/*
 * For GnuTLS the socket takes everything; what it does not take is kept in `unsent`. If GnuTLS were told to wait, the same
 * function would have to be called again before any other. But the peer may renew keys or renegotiate meanwhile, and
 * GnuTLS's answers would get mixed up with the unfinished record.
 */
static ssize_t push(gnutls_transport_ptr_t userdata, const giovec_t *iov, int n) {
        TlsSession *s = userdata;
        size_t total = 0, sent = 0;

        if (s->unsent.size == 0) {
                ssize_t k = session_send(s, iov, (size_t) n);
                if (k < 0) {
                        gnutls_transport_set_errno(s->gnutls, (int) -k);
                        return -1;
                }
                sent = (size_t) k;
        }

        for (int i = 0; i < n; i++) {
                size_t skip = MIN(sent, iov[i].iov_len);

                sent -= skip;
                total += iov[i].iov_len;
                if (buffer_append(&s->unsent, (const uint8_t *) iov[i].iov_base + skip, iov[i].iov_len - skip) < 0) {
                        gnutls_transport_set_errno(s->gnutls, ENOBUFS);
                        return -1;
                }
        }

        return (ssize_t) total;
}

static void keep_last(TlsSession *s, const uint8_t *data, size_t n) {
        if (n < ALERT_SIZE)
                memmove(s->last, s->last + n, ALERT_SIZE - n);
        else {
                data += n - ALERT_SIZE;
                n = ALERT_SIZE;
        }
        if (n > 0)
                memcpy(s->last + ALERT_SIZE - n, data, n);
}

/* GnuTLS would gather a message of up to 16 MiB, even in the middle of a session, and go on as long as there is
 * something to read. */
static bool may_gather(TlsSession *s, size_t n) {
        size_t max = !s->open && tls_context_wants_certificate(s->context) ? GATHERED_WITH_CHAIN_MAX : GATHERED_MAX;

        s->n_gathered += n;
        if (s->n_gathered <= max)
                return true;

        if (!s->problem)
                s->problem = text_format("it sends more than %zu KiB of TLS and says nothing", max / 1024);
        return false;
}

static ssize_t pull(gnutls_transport_ptr_t userdata, void *data, size_t n) {
        TlsSession *s = userdata;

        ssize_t k = recv(s->fd, data, n, MSG_DONTWAIT);
        if (k < 0) {
                gnutls_transport_set_errno(s->gnutls, errno);
                return -1;
        }

        if (!s->open)
                keep_last(s, data, (size_t) k);
        if (!may_gather(s, (size_t) k)) {
                gnutls_transport_set_errno(s->gnutls, EMSGSIZE);
                return -1;
        }

        return k;
}

int tls_session_new(TlsContext *context, int fd, const char *host, TlsSession **ret) {
        _cleanup_(tls_session_freep) TlsSession *s = calloc(1, sizeof(TlsSession));
        if (!s)
                return -ENOMEM;

        s->fd = fd;
        s->unsent = BUFFER_INIT(UNSENT_MAX);
        s->context = tls_context_ref(context);
        if (host && !(s->host = strdup(host)))
                return -ENOMEM;

        int r = tls_context_start_session(context, host, &s->gnutls);
        if (r < 0)
                return r;

        gnutls_session_set_ptr(s->gnutls, s);
        gnutls_session_set_verify_function(s->gnutls, check_peer);
        gnutls_transport_set_ptr(s->gnutls, s);
        gnutls_transport_set_pull_function(s->gnutls, pull);
        gnutls_transport_set_vec_push_function(s->gnutls, push);
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
        buffer_clear(&s->unsent);
        free(s->host);
        free(s->problem);
        free(s->peer_name);
        free(s);
        return NULL;
}

/* GnuTLS waits for more to read. */
static bool is_transient(ssize_t r) {
        return r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED;
}

/* A resumed session is checked again, because the certificate may have expired since. The trusted authorities are the
 * same: if they change, so does the key of tickets. */
static int handshake_complete(TlsSession *s) {
        int r = gnutls_session_is_resumed(s->gnutls) ? check_peer(s->gnutls) : 0;
        if (r < 0) {
                (void) gnutls_alert_send_appropriate(s->gnutls, r);
                return session_fail(s, r);
        }

        s->open = true;
        s->n_gathered = 0;
        return 1;
}

int tls_session_handshake(TlsSession *s) {
        (void) tls_session_flush(s); /* if this fails, so does reading */

        for (;;) {
                int r = gnutls_handshake(s->gnutls);
                if (r >= 0)
                        return handshake_complete(s);
                if (is_transient(r))
                        return 0;
                if (!gnutls_error_is_fatal(r) && s->n_nuisances++ < NUISANCES_MAX)
                        continue;

                if (r != GNUTLS_E_FATAL_ALERT_RECEIVED)
                        (void) gnutls_alert_send_appropriate(s->gnutls, r);
                return session_fail(s, r);
        }
}

/* Nobody needs to renegotiate, and RFC 5746 and RFC 8446 advise against it. A client declines and goes on. A server
 * cannot go on with GnuTLS. */
static bool is_bearable(TlsSession *s, int error) {
        bool ends_server = error == GNUTLS_E_REHANDSHAKE && tls_context_is_server(s->context);

        return !gnutls_error_is_fatal(error) && !ends_server && s->n_nuisances++ < NUISANCES_MAX;
}

/* Keeps the error: after an error GnuTLS may return something else. */
static int session_end_reading(TlsSession *s, int error) {
        s->read_error = error;
        return error;
}

ssize_t tls_session_read(TlsSession *s, void *data, size_t n) {
        if (s->read_error < 0)
                return s->read_error;
        if (!s->open) /* the peer has got an alert */
                return -EPROTO;

        for (;;) {
                ssize_t r = gnutls_record_recv(s->gnutls, data, n);
                if (r >= 0) {
                        s->n_gathered = 0;
                        return r;
                }
                if (is_transient(r))
                        return -EAGAIN;
                if (r == GNUTLS_E_PULL_ERROR)
                        return session_end_reading(s, s->problem ? -EPROTO : -ECONNRESET);

                if (r == GNUTLS_E_REHANDSHAKE)
                        (void) gnutls_alert_send(s->gnutls, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
                if (is_bearable(s, (int) r))
                        continue;

                (void) session_fail(s, (int) r);
                if (r == GNUTLS_E_PREMATURE_TERMINATION)
                        return session_end_reading(s, -ECONNRESET);
                if (r != GNUTLS_E_FATAL_ALERT_RECEIVED && r != GNUTLS_E_REHANDSHAKE)
                        (void) gnutls_alert_send_appropriate(s->gnutls, (int) r);
                return session_end_reading(s, -EPROTO);
        }
}

int tls_session_flush(TlsSession *s) {
        if (s->unsent.size == 0)
                return 1;

        ssize_t k = session_send(s, &(struct iovec){(void *) buffer_data(&s->unsent), s->unsent.size}, 1);
        if (k < 0)
                return -EPIPE;

        buffer_consume(&s->unsent, (size_t) k);
        return s->unsent.size == 0;
}

ssize_t tls_session_write(TlsSession *s, const void *data, size_t n) {
        int flushed = tls_session_flush(s);
        if (flushed <= 0)
                return flushed < 0 ? flushed : -EAGAIN;
        if (n == 0)
                return 0;

        ssize_t r = gnutls_record_send(s->gnutls, data, MIN(n, gnutls_record_get_max_size(s->gnutls)));
        return r >= 0 ? r : -EPIPE;
}

void tls_session_bye(TlsSession *s) {
        if (s->open && !s->problem)
                (void) gnutls_bye(s->gnutls, GNUTLS_SHUT_WR);
}

bool tls_session_is_open(const TlsSession *s) {
        return s->open;
}

size_t tls_session_unsent(const TlsSession *s) {
        return s->unsent.size;
}

size_t tls_session_size(const TlsSession *s) {
        return TLS_SESSION_SIZE + s->unsent.allocated + (s->open ? 0 : s->n_gathered);
}

size_t tls_session_unread(const TlsSession *s) {
        return gnutls_record_check_pending(s->gnutls);
}

TlsContext *tls_session_context(const TlsSession *s) {
        return s->context;
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

/* Spelt as in OpenSSL and in RFCs, with a space. GnuTLS writes TLS1.3. */
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

const char *tls_session_peer_name(const TlsSession *s) {
        return s->peer_name ?: "";
}

bool tls_session_peer_fingerprint(const TlsSession *s, uint8_t ret[static TLS_FINGERPRINT_SIZE]) {
        unsigned n = 0;
        const gnutls_datum_t *chain = gnutls_certificate_get_peers(s->gnutls, &n);
        size_t size = TLS_FINGERPRINT_SIZE;

        return chain && n > 0 && gnutls_fingerprint(GNUTLS_DIG_SHA256, &chain[0], ret, &size) >= 0;
}

const gnutls_datum_t *tls_session_peer_certificate(const TlsSession *s) {
        unsigned n = 0;
        const gnutls_datum_t *chain = s->open && tls_context_wants_certificate(s->context)
                                              ? gnutls_certificate_get_peers(s->gnutls, &n) : NULL;

        return n > 0 ? chain : NULL;
}
