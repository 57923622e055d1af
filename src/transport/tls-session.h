/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tls-context.h"

/*
 * TlsSession: TLS on one connected, non-blocking socket. It reads and writes that, and waits for nothing. Who has it
 * watches the socket, and closes it.
 *
 * A handshake may be done in a TlsWorker's thread; nothing else may be called meanwhile.
 */
typedef struct TlsSession TlsSession;

/* Bytes of a name in a certificate; a longer one is cut. */
#define TLS_PEER_NAME_MAX 128U

/* @host: of a client, the name that the server's certificate must be for, where that is checked; or NULL.
 * Returns: 0 or -ENOMEM. */
int tls_session_new(TlsContext *context, int fd, const char *host, TlsSession **ret);
TlsSession *tls_session_free(TlsSession *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(TlsSession *, tls_session_free);

/* Goes on with the handshake. Returns: 1 once it is complete, 0 if the socket has to become readable, or writable
 * (tls_session_unsent()), or -EPROTO if it has failed. */
int tls_session_handshake(TlsSession *s);

/* As stream_read(). An end without TLS's own is -ECONNRESET: somebody may have cut something off. */
ssize_t tls_session_read(TlsSession *s, void *data, size_t n);

/* Returns: bytes taken, of which some may be waiting in the session for the socket to become writable; -EAGAIN; or
 * -EPIPE: it is for the reader to find out why, since the peer may have said so before it has gone. */
ssize_t tls_session_write(TlsSession *s, const void *data, size_t n);

/* Sends what waits in the session. Returns: 1 if nothing does, 0 if the socket has to become writable, or a negative
 * errno: -EPIPE as above. */
int tls_session_flush(TlsSession *s);

/* Says that nothing more will be sent, as far as the socket takes it. */
void tls_session_bye(TlsSession *s);

bool tls_session_is_open(const TlsSession *s); /* the handshake is complete */

/* Bytes that wait for the socket to become writable, as they are sent. */
size_t tls_session_unsent(const TlsSession *s);

/* Bytes of memory that the session takes, as far as the peer can make it take more or less; about. */
#define TLS_SESSION_SIZE (14U * 1024U)
size_t tls_session_size(const TlsSession *s);

/* Bytes that can be read though the socket has none. */
size_t tls_session_unread(const TlsSession *s);

TlsContext *tls_session_context(const TlsSession *s);

/* Why it has failed, for people; "" if it has not. */
const char *tls_session_problem(const TlsSession *s);

/* Whether that is because the peer is not who it has to be. */
bool tls_session_peer_is_refused(const TlsSession *s);

/* Client: whether the server has asked for our certificate. */
bool tls_session_is_asked_for_certificate(const TlsSession *s);

/* "TLS 1.3", "AES-256-GCM"; of one that is open. */
const char *tls_session_version(const TlsSession *s);
const char *tls_session_cipher(const TlsSession *s);
bool tls_session_is_resumed(const TlsSession *s);

/* The common name in the peer's certificate, or else its first other name, without control characters; "" if it has
 * shown none. */
const char *tls_session_peer_name(const TlsSession *s);

/* SHA-256 of the certificate that the peer has shown. Returns: whether it has shown one. */
bool tls_session_peer_fingerprint(const TlsSession *s, uint8_t ret[static TLS_FINGERPRINT_SIZE]);
