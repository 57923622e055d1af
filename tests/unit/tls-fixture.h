/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests of TLS on an event loop: a certificate, a server's TlsContext, and a client that is GnuTLS's own functions. */

#include "harness.h"

#include "certificate.h"

#include "basic/time.h"
#include "transport/tls-context.h"
#include "transport/tls-worker.h"

#define TOO_LONG_USEC (30 * USEC_PER_SEC)

#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"

static struct {
        char path[64]; /* certificate and key */
        sd_event *event;
        Poller *poller;
        TlsWorker *worker;
        TicketKey *ticket_key;
        TlsContext *context;

        int fd; /* the peer's */
        gnutls_session_t peer;
        gnutls_certificate_credentials_t credentials;
} tls;

static int save_certificate(_unused_ void **state) {
        Certificate certificate = certificate_make(&(CertificateOptions){.name = "vspc"});

        strcpy(tls.path, "/tmp/vspc-test-tls-XXXXXX");
        certificate_save(&certificate, 1, tls.path);
        certificate_done(&certificate);
        return 0;
}

static int remove_certificate(_unused_ void **state) {
        return unlink(tls.path);
}

static void make_loop(void) {
        assert_int_equal(sd_event_new(&tls.event), 0);
        assert_int_equal(poller_new(tls.event, &tls.poller), 0);
}

static void peer_done(void) {
        if (tls.peer)
                gnutls_deinit(tls.peer);
        tls.peer = NULL;
        if (tls.credentials)
                gnutls_certificate_free_credentials(tls.credentials);
        tls.credentials = NULL;
        tls.fd = safe_close(tls.fd);
}

/* To be called when the connection under test has been closed */
static void tls_done(void) {
        peer_done();
        tls_worker_freep(&tls.worker);
        tls.worker = NULL;
        tls.context = tls_context_unref(tls.context);
        tls.ticket_key = ticket_key_free(tls.ticket_key);
        poller_free(tls.poller);
        sd_event_unref(tls.event);
}

typedef enum Threads { INLINE, IN_WORKER } Threads;

static void make_context(Threads threads) {
        _cleanup_free_ char *problem = NULL;

        if (threads == IN_WORKER)
                assert_int_equal(tls_worker_new(tls.poller, &tls.worker), 0);
        assert_int_equal(ticket_key_new(NULL, &tls.ticket_key), 0);

        TlsParameters parameters = {
                .role = TLS_SERVER,
                .certificate_file = tls.path,
                .ticket_key = tls.ticket_key,
                .worker = tls.worker,
        };
        assert_int_equal(tls_context_new(&parameters, &tls.context, &problem), 0);
}

static void make_peer(const char *priority) {
        assert_int_equal(gnutls_certificate_allocate_credentials(&tls.credentials), 0);
        assert_int_equal(gnutls_init(&tls.peer, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), 0);
        assert_int_equal(gnutls_priority_set_direct(tls.peer, priority, NULL), 0);
        assert_int_equal(gnutls_credentials_set(tls.peer, GNUTLS_CRD_CERTIFICATE, tls.credentials), 0);
        gnutls_transport_set_int(tls.peer, tls.fd);
}

/* Until the condition holds, the loop and then the peer have a turn. Nothing sleeps. */
#define run_until(condition, peer_turn)                                                                     \
        do {                                                                                                \
                usec_t deadline = now_monotonic() + TOO_LONG_USEC;                                          \
                while (!(condition)) {                                                                      \
                        assert_true(sd_event_run(tls.event, 1000) >= 0);                                    \
                        (void) (peer_turn);                                                                 \
                        if (now_monotonic() > deadline)                                                     \
                                fail_msg("waited in vain for %s", #condition);                              \
                }                                                                                           \
        } while (0)
