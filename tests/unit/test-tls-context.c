/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a TlsContext is freed whose key is in a token that does not respond. The token is a URL that GnuTLS learns here. */

#include <gnutls/urls.h>
#include <pthread.h>
#include <semaphore.h>

#include "harness.h"

#include "certificate.h"
#include "transport/tls-context.h"

#define TOKEN_SCHEME "test-token:"

static struct {
        char path[64]; /* certificate and key */
        pthread_t loop;
        bool token_responds;
        sem_t responds, freed;
        unsigned n_freed_on_loop;
} f;

static int import_key(gnutls_privkey_t key, const char *url, _unused_ unsigned flags) {
        gnutls_datum_t pem;

        int r = gnutls_load_file(url + strlen(TOKEN_SCHEME), &pem);
        if (r < 0)
                return r;

        r = gnutls_privkey_import_x509_raw(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
        gnutls_free(pem.data);
        return r;
}

void __real_gnutls_certificate_free_credentials(gnutls_certificate_credentials_t credentials);
void __wrap_gnutls_certificate_free_credentials(gnutls_certificate_credentials_t credentials);
void __wrap_gnutls_certificate_free_credentials(gnutls_certificate_credentials_t credentials) {
        if (pthread_equal(pthread_self(), f.loop))
                f.n_freed_on_loop++;
        else if (!f.token_responds)
                assert_int_equal(sem_wait(&f.responds), 0);

        __real_gnutls_certificate_free_credentials(credentials);
        assert_int_equal(sem_post(&f.freed), 0);
}

static TlsContext *make_server(const char *key) {
        const TlsParameters parameters = {.role = TLS_SERVER, .certificate_file = f.path, .key_file = key};
        _cleanup_free_ char *problem = NULL;
        TlsContext *context = NULL;

        if (tls_context_new(&parameters, &context, &problem) < 0)
                fail_msg("%s", problem);
        return context;
}

static TlsContext *make_token_server(void) {
        char url[sizeof TOKEN_SCHEME + sizeof f.path];

        snprintf(url, sizeof url, TOKEN_SCHEME "%s", f.path);
        return make_server(url);
}

static int setup_group(_unused_ void **state) {
        static const gnutls_custom_url_st token = {
                .name = TOKEN_SCHEME,
                .name_size = sizeof TOKEN_SCHEME - 1,
                .import_key = import_key,
        };
        Certificate certificate = certificate_make(&(CertificateOptions){.name = "vspc"});

        strcpy(f.path, "/tmp/vspc-test-tls-context-XXXXXX");
        certificate_save(&certificate, 1, f.path);
        certificate_done(&certificate);
        return gnutls_register_custom_url(&token);
}

static int teardown_group(_unused_ void **state) {
        return unlink(f.path);
}

static int setup(_unused_ void **state) {
        f.loop = pthread_self();
        f.token_responds = true;
        f.n_freed_on_loop = 0;
        return sem_init(&f.responds, 0, 0) < 0 ? -1 : sem_init(&f.freed, 0, 0);
}

static void test_a_token_that_does_not_respond_is_not_waited_for(_unused_ void **state) {
        TlsContext *context = make_token_server();

        f.token_responds = false;
        tls_context_unref(context);
        assert_int_equal(f.n_freed_on_loop, 0);
        assert_int_equal(sem_trywait(&f.freed), -1);

        assert_int_equal(sem_post(&f.responds), 0);
        assert_int_equal(sem_wait(&f.freed), 0);
}

static void test_a_token_that_responds_is_left_in_a_thread(_unused_ void **state) {
        for (unsigned i = 0; i < 50; i++)
                tls_context_unref(make_token_server());
        for (unsigned i = 0; i < 50; i++)
                assert_int_equal(sem_wait(&f.freed), 0);

        assert_int_equal(f.n_freed_on_loop, 0);
}

static void test_only_the_last_reference_frees_it(_unused_ void **state) {
        TlsContext *context = make_token_server();

        tls_context_unref(tls_context_ref(context));
        assert_int_equal(sem_trywait(&f.freed), -1);
        tls_context_unref(context);
        assert_int_equal(sem_wait(&f.freed), 0);
}

static void test_a_key_in_a_file_is_freed_at_once(_unused_ void **state) {
        tls_context_unref(make_server(NULL));
        assert_int_equal(f.n_freed_on_loop, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_a_token_that_does_not_respond_is_not_waited_for, setup),
                cmocka_unit_test_setup(test_a_token_that_responds_is_left_in_a_thread, setup),
                cmocka_unit_test_setup(test_only_the_last_reference_frees_it, setup),
                cmocka_unit_test_setup(test_a_key_in_a_file_is_freed_at_once, setup),
        };

        return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
