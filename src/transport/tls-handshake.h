/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "stream.h"

/*
 * TlsHandshake: TLS's handshake on a connection that is plain so far. It is done in a TlsWorker's thread if the context has
 * a worker, else on the loop.
 *
 * While it lasts, the handshake owns the connection: it watches the descriptor, and closes it if it is freed. If a thread has
 * the session at that moment, both are closed once the thread is done with it.
 */
typedef struct TlsHandshake TlsHandshake;

/* Called on the loop, never from within tls_handshake_new(). @userdata: the handshake's owner */
typedef struct TlsHandshakeHandler {
        void (*stepped)(void *userdata); /* it goes on, and tls_handshake_size() may have changed */

        /* It is over, and has freed itself. If it has failed, the session of @wire is not open, and knows why. */
        void (*done)(void *userdata, Wire wire);
} TlsHandshakeHandler;

/* Takes over @fd. What has come before TLS must have been read. @host: of a client, the name that the server's certificate
 * must be for, or NULL. Returns: 0 or a negative errno; @fd is closed then. */
int tls_handshake_new(Poller *poller, int fd, TlsContext *context, const char *host, const TlsHandshakeHandler *handler,
                      void *userdata, TlsHandshake **ret);
TlsHandshake *tls_handshake_free(TlsHandshake *h);

/* Bytes of memory that TLS takes, about. */
size_t tls_handshake_size(const TlsHandshake *h);

/* The session; NULL while a thread has it. */
const TlsSession *tls_handshake_session(const TlsHandshake *h);
