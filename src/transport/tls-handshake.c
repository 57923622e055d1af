/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>

#include "address.h"
#include "basic/hash.h"
#include "tls-handshake.h"

struct TlsHandshake {
        TlsJob job;
        Poller *poller;
        Watch watch;
        TlsSession *tls;
        const TlsHandshakeHandler *handler;
        void *userdata;
        bool stepping; /* the job uses the session */
        bool freed;    /* tls_handshake_free() was called meanwhile: the session is freed after the job */
        int result;    /* what tls_session_handshake() returned */
};

static TlsWorker *handshake_worker(const TlsHandshake *h) {
        return tls_context_worker(tls_session_context(h->tls));
}

/* Waits until the peer sends something, or takes what is unsent. */
static int handshake_watch(TlsHandshake *h) {
        return poller_watch(h->poller, &h->watch, EPOLLIN | (tls_session_unsent(h->tls) > 0 ? EPOLLOUT : 0));
}

/* Frees the handshake, but not the socket and the session, which are returned. */
static Wire handshake_release(TlsHandshake *h) {
        Wire wire = {.fd = h->watch.fd, .tls = h->tls};

        poller_forget(h->poller, &h->watch);
        free(h);
        return wire;
}

static void handshake_run(TlsJob *job) {
        TlsHandshake *h = container_of(job, TlsHandshake, job);

        h->result = tls_session_handshake(h->tls);
}

static void handshake_stepped(TlsJob *job) {
        TlsHandshake *h = container_of(job, TlsHandshake, job);
        const TlsHandshakeHandler *handler = h->handler;
        void *userdata = h->userdata;

        h->stepping = false;
        if (h->freed) {
                Wire wire = handshake_release(h);
                wire_close(&wire);
        } else if (h->result == 0 && handshake_watch(h) >= 0)
                handler->stepped(userdata);
        else
                handler->done(userdata, handshake_release(h));
}

static void handshake_step(Watch *w, _unused_ uint32_t events) {
        TlsHandshake *h = container_of(w, TlsHandshake, watch);
        TlsWorker *worker = handshake_worker(h);
        TlsJob *job = &h->job;

        h->stepping = true;
        if (!worker) {
                job->run(job);
                job->done(job);
                return;
        }

        /* The job may be done, and the handshake freed, before this returns. */
        poller_forget(h->poller, w);
        tls_worker_submit(worker, job);
}

/* Returns: a hash of the peer's address without the port */
static uint32_t hash_peer(int fd) {
        SocketAddress peer = {};
        socklen_t length = sizeof peer;

        if (getpeername(fd, &peer.any, &length) < 0)
                return 0;

        address_set_port(&peer, 0);
        uint64_t hash = fnv1a(FNV1A_BEGIN, &peer, MIN(length, (socklen_t) sizeof peer));
        return (uint32_t) (hash ^ hash >> 32);
}

int tls_handshake_new(Poller *poller, int fd, TlsContext *context, const char *host, const TlsHandshakeHandler *handler,
                      void *userdata, TlsHandshake **ret) {
        _cleanup_close_ int owned = fd;
        _cleanup_free_ TlsHandshake *h = calloc(1, sizeof(TlsHandshake));
        if (!h)
                return -ENOMEM;

        *h = (TlsHandshake){
                .job = {.run = handshake_run, .done = handshake_stepped, .source = hash_peer(fd)},
                .poller = poller,
                .watch = {.fd = fd, .handler = handshake_step},
                .handler = handler,
                .userdata = userdata,
        };

        int r = tls_session_new(context, fd, host, &h->tls);
        if (r >= 0)
                r = handshake_watch(h);
        if (r < 0) {
                tls_session_free(h->tls);
                return r;
        }

        /* The first step is made from the loop, because the owner is still setting things up. There may be no event
         * to wait for. */
        poller_defer(poller, &h->watch);
        TAKE_FD(owned);
        *ret = TAKE_PTR(h);
        return 0;
}

TlsHandshake *tls_handshake_free(TlsHandshake *h) {
        if (!h)
                return NULL;

        if (h->stepping && !tls_worker_cancel(handshake_worker(h), &h->job)) {
                h->freed = true;
                return NULL;
        }

        Wire wire = handshake_release(h);
        wire_close(&wire);
        return NULL;
}

size_t tls_handshake_size(const TlsHandshake *h) {
        return h->stepping ? TLS_SESSION_SIZE : tls_session_size(h->tls);
}

const TlsSession *tls_handshake_session(const TlsHandshake *h) {
        return h->stepping ? NULL : h->tls;
}
