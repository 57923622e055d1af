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

/* What GnuTLS writes with */
static gnutls_vec_push_func push_function;

void __real_gnutls_transport_set_vec_push_function(gnutls_session_t session, gnutls_vec_push_func f);
void __wrap_gnutls_transport_set_vec_push_function(gnutls_session_t session, gnutls_vec_push_func f);
void __wrap_gnutls_transport_set_vec_push_function(gnutls_session_t session, gnutls_vec_push_func f) {
        push_function = f;
        __real_gnutls_transport_set_vec_push_function(session, f);
}

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

/* Of TLS 1.2: in 1.3 nobody renegotiates, and each alert is the end. */
static void check_nuisances(int (*annoy)(gnutls_session_t server), const char *problem) {
        char buffer[16];
        Pair p;

        pair_open(&p, versions[0], "server");
        for (unsigned i = 0; i < 8; i++) {
                check(annoy(p.server));
                assert_int_equal(tls_session_read(p.client, buffer, sizeof buffer), -EAGAIN);
        }

        check(annoy(p.server));
        assert_int_equal(tls_session_read(p.client, buffer, sizeof buffer), -EPROTO);
        assert_string_equal(tls_session_problem(p.client), problem);
        pair_close(&p);
}

static int warn(gnutls_session_t server) {
        return gnutls_alert_send(server, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
}

static void test_alerts_that_mean_nothing_are_borne_but_not_for_ever(_unused_ void **state) {
        check_nuisances(warn, "the peer says: User canceled");
}

static void test_a_server_that_wants_to_renegotiate_is_told_no_but_not_for_ever(_unused_ void **state) {
        check_nuisances(gnutls_rehandshake, "Rehandshake was requested by the peer");
}

static void test_a_long_name_of_the_peer_is_cut(_unused_ void **state) {
        char name[201] = "";
        Pair p;

        memset(name, 'n', sizeof name - 1);
        pair_open(&p, versions[1], name);
        name[128] = 0;
        assert_string_equal(tls_session_peer_name(p.client), name);
        pair_close(&p);
}

/* A server of ours, for a client that is GnuTLS itself and has this certificate. */
typedef struct Guest {
        char path[64], trusted[64];
        Certificate certificate;
        gnutls_certificate_credentials_t credentials;
        TicketKey *ticket_key;
        TlsContext *context;
        int fds[2];
        TlsSession *server;
        gnutls_session_t client;
} Guest;

static void save(const Certificate *chain, size_t n, char path[static 64]) {
        strcpy(path, "/tmp/vspc-test-tls-XXXXXX");
        certificate_save(chain, n, path);
}

/* @server: of the certificate that the server has; @client: of the client's, which the server trusts */
static void guest_init(Guest *g, const CertificateOptions *server, const CertificateOptions *client) {
        *g = (Guest){.certificate = certificate_make(client), .fds = {-1, -1}};
        save(&g->certificate, 1, g->trusted);

        Certificate certificate = certificate_make(server);
        save(&certificate, 1, g->path);
        certificate_done(&certificate);
        g->credentials = certificate_credentials(&g->certificate);

        assert_int_equal(ticket_key_new(NULL, &g->ticket_key), 0);
        const TlsParameters parameters = {
                .role = TLS_SERVER,
                .peer_check = TLS_PEER_IF_PRESENT,
                .certificate_file = g->path,
                .trusted_ca_file = g->trusted,
                .ticket_key = g->ticket_key,
        };
        char *problem = NULL;
        if (tls_context_new(&parameters, &g->context, &problem) < 0)
                fail_msg("%s", problem);
}

static void guest_connect(Guest *g, const char *priority) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, g->fds), 0);
        assert_int_equal(tls_session_new(g->context, g->fds[0], NULL, &g->server), 0);
        check(gnutls_init(&g->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL));
        check(gnutls_priority_set_direct(g->client, priority, NULL));
        check(gnutls_credentials_set(g->client, GNUTLS_CRD_CERTIFICATE, g->credentials));
        gnutls_transport_set_int(g->client, g->fds[1]);
}

static void guest_disconnect(Guest *g) {
        g->server = tls_session_free(g->server);
        gnutls_deinit(g->client);
        g->fds[0] = safe_close(g->fds[0]);
        g->fds[1] = safe_close(g->fds[1]);
}

static void guest_done(Guest *g) {
        tls_context_unref(g->context);
        ticket_key_free(g->ticket_key);
        gnutls_certificate_free_credentials(g->credentials);
        certificate_done(&g->certificate);
        assert_int_equal(unlink(g->path), 0);
        assert_int_equal(unlink(g->trusted), 0);
}

/* Returns: what the server's handshake comes to. */
static int guest_shake_hands(Guest *g) {
        bool done = false;
        int r = 0;

        while (r == 0 || (r > 0 && !done)) {
                int k = done ? 0 : gnutls_handshake(g->client);

                assert_true(k >= 0 || !gnutls_error_is_fatal(k));
                done = k >= 0;
                if (r == 0)
                        r = tls_session_handshake(g->server);
        }

        return r;
}

static const CertificateOptions plain = {.name = "somebody"};

/* More than GnuTLS has ever been seen to say at a time. */
static void test_what_waits_for_a_client_that_does_not_read_has_a_bound(_unused_ void **state) {
        static uint8_t record[16384];
        const giovec_t iov = {record, sizeof record};
        size_t total = 0;
        Guest g;

        guest_init(&g, &plain, &plain);
        guest_connect(&g, versions[1]);
        for (unsigned i = 0; i < 100 && push_function(g.server, &iov, 1) == sizeof record; i++)
                total += sizeof record;

        assert_in_range(tls_session_unsent(g.server), 256 * 1024 - sizeof record, 256 * 1024);
        assert_true(total < 100 * sizeof record);
        assert_int_equal(push_function(g.server, &iov, 1), -1);
        guest_disconnect(&g);
        guest_done(&g);
}

static void test_a_chain_may_be_as_long_as_peers_take_it(_unused_ void **state) {
        _cleanup_free_ char *problem = NULL, *expected = NULL;
        Certificate chain[17];
        TlsContext *context;

        /* From the root on */
        for (size_t i = ELEMENTSOF(chain); i-- > 0;) {
                char name[16];

                snprintf(name, sizeof name, "number %zu", i);
                chain[i] = certificate_make(&(CertificateOptions){
                        .name = name,
                        .issuer = i + 1 < ELEMENTSOF(chain) ? &chain[i + 1] : NULL,
                });
        }

        for (size_t n = 16; n <= 17; n++) {
                char path[64];

                save(chain, n, path);
                const TlsParameters parameters = {.role = TLS_SERVER, .certificate_file = path};
                int r = tls_context_new(&parameters, &context, &problem);
                assert_int_equal(unlink(path), 0);
                assert_int_equal(r, n <= 16 ? 0 : -EINVAL);
                if (r >= 0) {
                        tls_context_unref(context);
                        continue;
                }
                assert_true(asprintf(&expected, "There are more than 16 certificates in %s", path) >= 0);
                assert_string_equal(problem, expected);
        }

        for (size_t i = 0; i < ELEMENTSOF(chain); i++)
                certificate_done(&chain[i]);
}

/* GnuTLS's clock */
static time_t ahead;

static time_t later(time_t *ret) {
        time_t t = time(NULL) + ahead;

        if (ret)
                *ret = t;
        return t;
}

/* The client's part is done once it has read a ticket, which in TLS 1.3 comes after the handshake. */
static gnutls_datum_t guest_ticket(Guest *g) {
        gnutls_datum_t ticket;
        char buffer[16];

        assert_int_equal(gnutls_record_recv(g->client, buffer, sizeof buffer), GNUTLS_E_AGAIN);
        assert_true(gnutls_session_get_flags(g->client) & GNUTLS_SFLAGS_SESSION_TICKET);
        check(gnutls_session_get_data2(g->client, &ticket));
        return ticket;
}

static void test_a_host_whose_certificate_expires_cannot_resume_from_then_on(_unused_ void **state) {
        const CertificateOptions short_lived = {.name = "esx1", .valid_until = time(NULL) + 600};

        static const char *const reason =
                "The certificate is NOT trusted. The certificate chain uses expired certificate";

        gnutls_global_set_time_function(later);
        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                gnutls_datum_t ticket;
                Guest g;

                ahead = 0;
                guest_init(&g, &plain, &short_lived);
                guest_connect(&g, versions[i]);
                assert_int_equal(guest_shake_hands(&g), 1);
                assert_false(tls_session_is_resumed(g.server));
                ticket = guest_ticket(&g);
                guest_disconnect(&g);

                ahead = 300;
                guest_connect(&g, versions[i]);
                check(gnutls_session_set_data(g.client, ticket.data, ticket.size));
                assert_int_equal(guest_shake_hands(&g), 1);
                assert_true(tls_session_is_resumed(g.server));
                assert_string_equal(tls_session_peer_name(g.server), "esx1");
                guest_disconnect(&g);

                ahead = 900;
                guest_connect(&g, versions[i]);
                check(gnutls_session_set_data(g.client, ticket.data, ticket.size));
                assert_int_equal(guest_shake_hands(&g), -EPROTO);
                assert_true(tls_session_is_resumed(g.server));
                assert_true(tls_session_peer_is_refused(g.server));
                assert_string_equal(tls_session_problem(g.server), reason);
                assert_false(tls_session_is_open(g.server));
                guest_disconnect(&g);

                gnutls_free(ticket.data);
                guest_done(&g);
        }

        gnutls_global_set_time_function(time);
}

/* Somebody begins a handshake with a message of 16 MiB. Returns: how many bytes he has sent when the server has had
 * enough. */
static size_t gather(TlsPeerCheck peer_check, const char *expected) {
        static const CertificateOptions options = {.name = "server"};
        static const uint8_t first[1024] = {22, 3, 3, 3, 251, 1, 255, 255, 255}, next[1024] = {22, 3, 3, 3, 251};
        char path[64], *problem = NULL;
        TlsContext *context;
        TlsSession *server;
        size_t n_sent = 0;
        int fds[2], r;

        Certificate certificate = certificate_make(&options);
        save(&certificate, 1, path);
        certificate_done(&certificate);

        const TlsParameters parameters = {
                .role = TLS_SERVER,
                .peer_check = peer_check,
                .certificate_file = path,
                .trusted_ca_file = path,
        };
        if (tls_context_new(&parameters, &context, &problem) < 0)
                fail_msg("%s", problem);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(tls_session_new(context, fds[0], NULL, &server), 0);

        do {
                assert_int_equal(send(fds[1], n_sent == 0 ? first : next, sizeof next, 0), sizeof next);
                n_sent += sizeof next;
                r = tls_session_handshake(server);
                assert_true(n_sent < 1024 * 1024);
        } while (r == 0);

        assert_int_equal(r, -EPROTO);
        assert_string_equal(tls_session_problem(server), expected);
        tls_session_free(server);
        tls_context_unref(context);
        safe_close(fds[0]);
        safe_close(fds[1]);
        return n_sent;
}

static void test_what_is_gathered_of_a_peer_that_says_nothing_has_a_bound(_unused_ void **state) {
        assert_int_equal(gather(TLS_PEER_ANY, "it sends more than 32 KiB of TLS and says nothing"), 33 * 1024);
}

static void test_of_a_peer_that_may_have_a_chain_of_certificates_more_is_gathered(_unused_ void **state) {
        static const char expected[] = "it sends more than 256 KiB of TLS and says nothing";

        assert_int_equal(gather(TLS_PEER_IF_PRESENT, expected), 257 * 1024);
        assert_int_equal(gather(TLS_PEER_REQUIRED, expected), 257 * 1024);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_why_the_peer_has_gone_is_read_after_a_write_that_failed),
                cmocka_unit_test(test_the_same_after_a_flush_that_failed),
                cmocka_unit_test(test_alerts_that_mean_nothing_are_borne_but_not_for_ever),
                cmocka_unit_test(test_a_server_that_wants_to_renegotiate_is_told_no_but_not_for_ever),
                cmocka_unit_test(test_a_long_name_of_the_peer_is_cut),
                cmocka_unit_test(test_what_waits_for_a_client_that_does_not_read_has_a_bound),
                cmocka_unit_test(test_what_is_gathered_of_a_peer_that_says_nothing_has_a_bound),
                cmocka_unit_test(test_of_a_peer_that_may_have_a_chain_of_certificates_more_is_gathered),
                cmocka_unit_test(test_a_chain_may_be_as_long_as_peers_take_it),
                cmocka_unit_test(test_a_host_whose_certificate_expires_cannot_resume_from_then_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
