/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "stream.h"

/*
 * TlsHandshake: performs the TLS handshake on a connection that was plain so far: in a thread of a TlsWorker if the context
 * has one, otherwise in the event loop.
 *
 * During the handshake it owns the connection: it watches the descriptor, and closes it when it is freed. If a thread is using
 * the session at that moment, descriptor and session are closed when the thread has finished.
 */
typedef struct TlsHandshake TlsHandshake;

/* Called in the event loop, never by tls_handshake_new(). @userdata: as given there */
typedef struct TlsHandshakeHandler {
        void (*stepped)(void *userdata); /* there was progress, and tls_handshake_size() may have changed */

        /* The handshake has ended and freed itself. If it has failed, the session of @wire is not open; tls_session_problem()
         * says why. */
        void (*done)(void *userdata, Wire wire);
} TlsHandshakeHandler;

/* Takes over @fd. Everything that was sent before TLS must have been read. @host: client: the name that the server's
 * certificate must be for, or NULL. Returns: 0; or a negative errno, and @fd has been closed. */
int tls_handshake_new(Poller *poller, int fd, TlsContext *context, const char *host, const TlsHandshakeHandler *handler,
                      void *userdata, TlsHandshake **ret);
TlsHandshake *tls_handshake_free(TlsHandshake *h);

/* Returns: approximately the bytes of memory that TLS uses. */
size_t tls_handshake_size(const TlsHandshake *h);

/* Returns: the session; NULL while a thread uses it. */
const TlsSession *tls_handshake_session(const TlsHandshake *h);
