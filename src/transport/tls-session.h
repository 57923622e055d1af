/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tls-context.h"

/*
 * TlsSession: TLS on one connected, non-blocking socket. It reads from and writes to the socket and never blocks. The owner
 * watches the socket and closes it.
 *
 * A handshake may run in a thread of a TlsWorker; no other function may be called meanwhile.
 */
typedef struct TlsSession TlsSession;

/* The maximum bytes of a name in a certificate; a longer one is cut. */
#define TLS_PEER_NAME_MAX 128U

/* @host: client: the name that the server's certificate must be for, if that is checked; or NULL. Returns: 0 or -ENOMEM. */
int tls_session_new(TlsContext *context, int fd, const char *host, TlsSession **ret);
TlsSession *tls_session_free(TlsSession *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(TlsSession *, tls_session_free);

/* Continues the handshake. Returns: 1 if it is complete; 0 if the socket must first become readable, or writable if there is
 * unsent data (tls_session_unsent()); -EPROTO if it has failed. */
int tls_session_handshake(TlsSession *s);

/* Returns: the values of stream_read(). If the connection has ended without TLS's end (close_notify), that is -ECONNRESET,
 * because data may have been cut off. */
ssize_t tls_session_read(TlsSession *s, void *data, size_t n);

/* Returns: the number of bytes taken, some of which may wait in the session until the socket is writable; -EAGAIN; or -EPIPE
 * if the connection has failed: reading tells why, because the peer may have sent the reason. */
ssize_t tls_session_write(TlsSession *s, const void *data, size_t n);

/* Sends data that waits in the session. Returns: 1 if nothing waits any more; 0 if the socket must become writable; -EPIPE as
 * above. */
int tls_session_flush(TlsSession *s);

/* Sends TLS's end (close_notify), if the socket accepts it. */
void tls_session_bye(TlsSession *s);

bool tls_session_is_open(const TlsSession *s); /* the handshake is complete */

/* Returns: the number of encrypted bytes that wait until the socket is writable. */
size_t tls_session_unsent(const TlsSession *s);

/* Returns: approximately the bytes of memory that the session uses, including what the peer can make it use. TLS_SESSION_SIZE:
 * without data. */
#define TLS_SESSION_SIZE (14U * 1024U)
size_t tls_session_size(const TlsSession *s);

/* Returns: the number of decrypted bytes that can be read, even if the socket is not readable. */
size_t tls_session_unread(const TlsSession *s);

TlsContext *tls_session_context(const TlsSession *s);

/* Returns: a description of the failure; "" if there is none. */
const char *tls_session_problem(const TlsSession *s);

/* Returns: whether it has failed because the peer's certificate was refused. */
bool tls_session_peer_is_refused(const TlsSession *s);

/* Client. Returns: whether the server has asked for our certificate. */
bool tls_session_is_asked_for_certificate(const TlsSession *s);

/* Of an open session: "TLS 1.3", "AES-256-GCM" */
const char *tls_session_version(const TlsSession *s);
const char *tls_session_cipher(const TlsSession *s);
bool tls_session_is_resumed(const TlsSession *s);

/* Returns: the common name in the peer's certificate, or else its first alternative name, sanitized; "" if the peer has sent
 * no certificate. */
const char *tls_session_peer_name(const TlsSession *s);

/* *ret: SHA-256 of the peer's certificate. Returns: whether the peer has sent one. */
bool tls_session_peer_fingerprint(const TlsSession *s, uint8_t ret[static TLS_FINGERPRINT_SIZE]);

/* Returns: the certificate of the peer, which has been verified; NULL if it has sent none, or it is not verified. */
const gnutls_datum_t *tls_session_peer_certificate(const TlsSession *s);
