/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <gnutls/x509.h>
#include <sys/socket.h>
#include <time.h>

#include "harness.h"
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

static gnutls_certificate_credentials_t make_credentials(void) {
        gnutls_certificate_credentials_t credentials;
        gnutls_x509_privkey_t key;
        gnutls_x509_crt_t certificate;

        check(gnutls_x509_privkey_init(&key));
        check(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                           GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
        check(gnutls_x509_crt_init(&certificate));
        check(gnutls_x509_crt_set_version(certificate, 3));
        check(gnutls_x509_crt_set_serial(certificate, "\1", 1));
        check(gnutls_x509_crt_set_dn(certificate, "CN=server", NULL));
        check(gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 60));
        check(gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 3600));
        check(gnutls_x509_crt_set_key(certificate, key));
        check(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0));

        check(gnutls_certificate_allocate_credentials(&credentials));
        check(gnutls_certificate_set_x509_key(credentials, &certificate, 1, key));
        gnutls_x509_crt_deinit(certificate);
        gnutls_x509_privkey_deinit(key);
        return credentials;
}

static void pair_open(Pair *p, const char *versions) {
        static const TlsParameters parameters = {.role = TLS_CLIENT, .peer_check = TLS_PEER_ANY};
        char *problem;
        int r, done = 0;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fds), 0);

        p->credentials = make_credentials();
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

                pair_open(&p, versions[i]);
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

                pair_open(&p, versions[i]);
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
