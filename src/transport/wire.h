/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tls-session.h"

/*
 * Wire: what a connection is made of, to be handed from one owner to another.
 */
typedef struct Wire {
        int fd;
        TlsSession *tls; /* NULL: plain; its handshake is over */
        bool ended;      /* in TLS: what is read next is the end */
} Wire;

#define WIRE_PLAIN(f) ((Wire){.fd = (f)})

static inline void wire_close(Wire *w) {
        w->tls = tls_session_free(w->tls);
        w->fd = safe_close(w->fd);
}
