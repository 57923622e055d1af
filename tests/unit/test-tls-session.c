/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/socket.h>

#include "harness.h"

#include "certificate.h"
#include "transport/tls-session.h"

/* A client of ours, and a server that is GnuTLS itself, on two ends of one connection. */
typedef struct Pair {
        int fds[2];
        gnutls_certificate_credentials_t credentials;
        gnutls_session_t server;
        TlsContext *context;
        TlsSession *client;
} Pair;

static void check(int r) {
        if (r < 0)
                fail_msg("%s", gnutls_strerror(r));
}

static void pair_open(Pair *p, const char *versions, const char *name) {
        static const TlsParameters parameters = {.role = TLS_CLIENT, .peer_check = TLS_PEER_ANY};
        char *problem;
        int r, done = 0;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fds), 0);

        Certificate certificate = certificate_make(&(CertificateOptions){.name = name});
        p->credentials = certificate_credentials(&certificate);
        certificate_done(&certificate);
        check(gnutls_init(&p->server, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL));
        check(gnutls_priority_set_direct(p->server, versions, NULL));
        check(gnutls_credentials_set(p->server, GNUTLS_CRD_CERTIFICATE, p->credentials));
        gnutls_transport_set_int(p->server, p->fds[1]);

        assert_int_equal(tls_context_new(&parameters, &p->context, &problem), 0);
        assert_int_equal(tls_session_new(p->context, p->fds[0], NULL, &p->client), 0);

        while (!done || !tls_session_is_open(p->client)) {
                if (!tls_session_is_open(p->client))
                        assert_true(tls_session_handshake(p->client) >= 0);
                if (!done) {
                        r = gnutls_handshake(p->server);
                        assert_true(r >= 0 || r == GNUTLS_E_AGAIN);
                        done = r >= 0;
                }
        }
}

static void pair_close(Pair *p) {
        tls_session_free(p->client);
        tls_context_unref(p->context);
        gnutls_deinit(p->server);
        gnutls_certificate_free_credentials(p->credentials);
        safe_close(p->fds[0]);
        safe_close(p->fds[1]);
}

static const char *const versions[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"};

/* A server that does not take a client's certificate says so when the client has begun to send. */
static void test_why_the_peer_has_gone_is_read_after_a_write_that_failed(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                char buffer[16];
                Pair p;

                pair_open(&p, versions[i], "server");
                check(gnutls_alert_send(p.server, GNUTLS_AL_FATAL, GNUTLS_A_UNKNOWN_CA));
                p.fds[1] = safe_close(p.fds[1]);

                assert_int_equal(tls_session_write(p.client, "x", 1), -EPIPE);
                assert_string_equal(tls_session_problem(p.client), "");
                assert_int_equal(tls_session_read(p.client, buffer, sizeof buffer), -EPROTO);
                assert_string_equal(tls_session_problem(p.client), "the peer says: CA is unknown");
                pair_close(&p);
        }
}

/* What the socket did not take at first, and does not take any more. */
static void test_the_same_after_a_flush_that_failed(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                char buffer[16384] = {};
                ssize_t n;
                Pair p;

                pair_open(&p, versions[i], "server");
                while ((n = tls_session_write(p.client, buffer, sizeof buffer)) > 0)
                        ;
                assert_int_equal(n, -EAGAIN);
                assert_true(tls_session_unsent(p.client) > 0);

                check(gnutls_alert_send(p.server, GNUTLS_AL_FATAL, GNUTLS_A_UNKNOWN_CA));
                p.fds[1] = safe_close(p.fds[1]);

                assert_int_equal(tls_session_flush(p.client), -EPIPE);
                assert_int_equal(tls_session_read(p.client, buffer, sizeof buffer), -EPROTO);
                assert_string_equal(tls_session_problem(p.client), "the peer says: CA is unknown");
                pair_close(&p);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_why_the_peer_has_gone_is_read_after_a_write_that_failed),
                cmocka_unit_test(test_the_same_after_a_flush_that_failed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
