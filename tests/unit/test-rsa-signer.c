/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A key that signs with OpenSSL does all that it did before, in every way in which TLS uses it. */

#include <gnutls/abstract.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "harness.h"

#include "certificate.h"
#include "transport/rsa-signer.h"
#include "transport/tls-context.h"

#define RSA_BITS 2048U

static atomic_uint n_signed_by_openssl;
static bool openssl_fails;
static gnutls_x509_crt_t certificate_in_threads;

int __real_EVP_PKEY_sign(EVP_PKEY_CTX *context, unsigned char *signature, size_t *n, const unsigned char *hash,
                         size_t n_hash);
int __wrap_EVP_PKEY_sign(EVP_PKEY_CTX *context, unsigned char *signature, size_t *n, const unsigned char *hash,
                         size_t n_hash);
int __wrap_EVP_PKEY_sign(EVP_PKEY_CTX *context, unsigned char *signature, size_t *n, const unsigned char *hash,
                         size_t n_hash) {
        n_signed_by_openssl++;
        return openssl_fails ? 0 : __real_EVP_PKEY_sign(context, signature, n, hash, n_hash);
}

static void check(int r) {
        if (r < 0)
                fail_msg("%s", gnutls_strerror(r));
}

static gnutls_privkey_t make_key(const Certificate *c) {
        gnutls_privkey_t key;

        check(gnutls_privkey_init(&key));
        check(gnutls_privkey_import_x509(key, c->key, GNUTLS_PRIVKEY_IMPORT_COPY));
        rsa_signer_take_over(&key);
        return key;
}

/* A server whose key signs with OpenSSL, and a client that is GnuTLS alone. */
typedef struct Pair {
        int fds[2];
        gnutls_certificate_credentials_t credentials[2];
        gnutls_session_t session[2];
} Pair;

static void pair_open(Pair *p, const char *priority) {
        static const unsigned roles[] = {GNUTLS_SERVER, GNUTLS_CLIENT};
        Certificate certificate = certificate_make(&(CertificateOptions){.name = "server", .rsa_bits = RSA_BITS});
        gnutls_pcert_st public; /* what is in it will be the credentials', and the key will */

        check(gnutls_pcert_import_x509(&public, certificate.certificate, 0));
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fds), 0);
        for (size_t i = 0; i < 2; i++) {
                check(gnutls_certificate_allocate_credentials(&p->credentials[i]));
                check(gnutls_init(&p->session[i], roles[i] | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL));
                check(gnutls_priority_set_direct(p->session[i], priority, NULL));
                check(gnutls_credentials_set(p->session[i], GNUTLS_CRD_CERTIFICATE, p->credentials[i]));
                gnutls_transport_set_int(p->session[i], p->fds[i]);
        }
        check(gnutls_certificate_set_key(p->credentials[0], NULL, 0, &public, 1, make_key(&certificate)));
        certificate_done(&certificate);
        n_signed_by_openssl = 0; /* GnuTLS has tried whether the key is the certificate's */
}

static void pair_close(Pair *p) {
        for (size_t i = 0; i < 2; i++) {
                gnutls_deinit(p->session[i]);
                gnutls_certificate_free_credentials(p->credentials[i]);
                safe_close(p->fds[i]);
        }
}

/* Returns: 0, or the first error of either. */
static int pair_shake_hands(Pair *p) {
        bool done[2] = {};

        for (size_t i = 0; !done[0] || !done[1]; i = 1 - i) {
                int r = done[i] ? 0 : gnutls_handshake(p->session[i]);

                if (r < 0 && r != GNUTLS_E_AGAIN)
                        return r;
                done[i] = r >= 0;
        }

        return 0;
}

#define TLS_1_3 "NORMAL:-VERS-ALL:+VERS-TLS1.3:-SIGN-ALL:+SIGN-"
#define TLS_1_2 "NORMAL:-VERS-ALL:+VERS-TLS1.2:-SIGN-ALL:+SIGN-"
#define TLS_1_0 "NORMAL:-VERS-ALL:+VERS-TLS1.0:-KX-ALL:+DHE-RSA"

static void test_every_kind_of_handshake_succeeds_and_openssl_signs(_unused_ void **state) {
        static const struct {
                const char *priority;
                unsigned n_signed_by_openssl;
        } cases[] = {
                {TLS_1_3 "RSA-PSS-RSAE-SHA256",                         1},
                {TLS_1_3 "RSA-PSS-RSAE-SHA384",                         1},
                {TLS_1_3 "RSA-PSS-RSAE-SHA512",                         1},
                {TLS_1_2 "RSA-PSS-RSAE-SHA256",                         1},
                {TLS_1_2 "RSA-SHA256",                                  1},
                {TLS_1_2 "RSA-SHA384",                                  1},
                {TLS_1_2 "RSA-SHA512",                                  1},
                {TLS_1_2 "RSA-SHA1",                                    1},
                {"NORMAL:-VERS-ALL:+VERS-TLS1.1:-KX-ALL:+ECDHE-RSA",    1},
                {TLS_1_0,                                               1},
                {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA",          0}, /* decrypts */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Pair p;

                print_message("# %s\n", cases[i].priority);
                pair_open(&p, cases[i].priority);
                check(pair_shake_hands(&p));
                assert_int_equal(n_signed_by_openssl, cases[i].n_signed_by_openssl);
                pair_close(&p);
        }
}

/* A policy of the system's may forbid it what GnuTLS is allowed. */
static void test_what_openssl_does_not_sign_gnutls_does(_unused_ void **state) {
        static const char *const priorities[] = {TLS_1_3 "RSA-PSS-RSAE-SHA256", TLS_1_2 "RSA-SHA256", TLS_1_0};

        for (size_t i = 0; i < ELEMENTSOF(priorities); i++) {
                Pair p;

                openssl_fails = true;
                pair_open(&p, priorities[i]);
                check(pair_shake_hands(&p));
                assert_int_equal(n_signed_by_openssl, 1);
                openssl_fails = false;
                pair_close(&p);
        }
}

#define THREADS 4U
#define SIGNATURES 50U /* of each thread */

static void *sign_and_verify(void *key) {
        uint8_t hash[32] = {};
        const gnutls_datum_t data = {hash, sizeof hash};
        gnutls_pubkey_t public;
        size_t n_right = 0;

        if (gnutls_pubkey_init(&public) < 0 || gnutls_pubkey_import_x509(public, certificate_in_threads, 0) < 0)
                return NULL;

        for (unsigned i = 0; i < SIGNATURES; i++) {
                gnutls_datum_t signature = {};

                hash[0] = (uint8_t) i;
                if (gnutls_privkey_sign_hash2(key, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, 0, &data, &signature) >= 0)
                        n_right += gnutls_pubkey_verify_hash2(public, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, 0, &data,
                                                              &signature) >= 0;
                gnutls_free(signature.data);
        }

        gnutls_pubkey_deinit(public);
        return (void *) n_right;
}

static void test_threads_sign_with_one_key_at_once(_unused_ void **state) {
        Certificate certificate = certificate_make(&(CertificateOptions){.name = "server", .rsa_bits = RSA_BITS});
        gnutls_privkey_t key = make_key(&certificate);
        pthread_t threads[THREADS];
        void *n_right;

        certificate_in_threads = certificate.certificate;
        for (size_t i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify, key), 0);
        for (size_t i = 0; i < THREADS; i++) {
                assert_int_equal(pthread_join(threads[i], &n_right), 0);
                assert_int_equal((uintptr_t) n_right, SIGNATURES);
        }

        gnutls_privkey_deinit(key);
        certificate_done(&certificate);
}

/* Bleichenbacher's attack asks which of many ciphertexts can be decrypted. */
static void test_what_cannot_be_decrypted_is_a_secret_that_nobody_knows(_unused_ void **state) {
        Certificate certificate = certificate_make(&(CertificateOptions){.name = "server", .rsa_bits = RSA_BITS});
        gnutls_privkey_t key = make_key(&certificate);
        uint8_t garbage[RSA_BITS / 8] = {1, 2, 3}, short_garbage[5] = {}, secret[3][48] = {};
        const gnutls_datum_t ciphertexts[] = {
                {garbage,       sizeof garbage      },
                {garbage,       sizeof garbage      },
                {short_garbage, sizeof short_garbage},
        };

        for (size_t i = 0; i < ELEMENTSOF(ciphertexts); i++)
                check(gnutls_privkey_decrypt_data2(key, 0, &ciphertexts[i], secret[i], sizeof secret[i]));
        assert_memory_not_equal(secret[0], secret[1], sizeof secret[0]);
        assert_memory_not_equal(secret[1], secret[2], sizeof secret[0]);

        gnutls_privkey_deinit(key);
        certificate_done(&certificate);
}

static void test_a_key_of_another_kind_is_left_alone(_unused_ void **state) {
        Certificate certificate = certificate_make(&(CertificateOptions){.name = "server"});
        gnutls_privkey_t key = make_key(&certificate);

        assert_int_equal(gnutls_privkey_get_type(key), GNUTLS_PRIVKEY_X509);
        gnutls_privkey_deinit(key);
        certificate_done(&certificate);
}

/* GnuTLS tries whether the key is the certificate's, so that a signature is made when it is loaded. */
static void test_servers_have_their_key_so_and_clients_as_it_is(_unused_ void **state) {
        Certificate certificate = certificate_make(&(CertificateOptions){.name = "server", .rsa_bits = RSA_BITS});
        char path[] = "/tmp/vspc-test-rsa-XXXXXX";

        certificate_save(&certificate, 1, path);
        for (unsigned i = 0; i < 2; i++) {
                const TlsParameters parameters = {
                        .role = i == 0 ? TLS_SERVER : TLS_CLIENT,
                        .peer_check = TLS_PEER_ANY,
                        .certificate_file = path,
                };
                TlsContext *context;
                char *problem;

                n_signed_by_openssl = 0;
                assert_int_equal(tls_context_new(&parameters, &context, &problem), 0);
                assert_int_equal(n_signed_by_openssl > 0, parameters.role == TLS_SERVER);
                tls_context_unref(context);
        }

        unlink(path);
        certificate_done(&certificate);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_kind_of_handshake_succeeds_and_openssl_signs),
                cmocka_unit_test(test_what_openssl_does_not_sign_gnutls_does),
                cmocka_unit_test(test_threads_sign_with_one_key_at_once),
                cmocka_unit_test(test_what_cannot_be_decrypted_is_a_secret_that_nobody_knows),
                cmocka_unit_test(test_a_key_of_another_kind_is_left_alone),
                cmocka_unit_test(test_servers_have_their_key_so_and_clients_as_it_is),
        };

        return cmocka_run_group_tests_name("rsa-signer", tests, NULL, NULL);
}
