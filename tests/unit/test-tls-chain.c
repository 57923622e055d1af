/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "harness.h"

#include "certificate.h"
#include "transport/tls-chain.h"

#define N_MAX 20U

/* What is said of a chain. It is in a static buffer. */
static const char *describe(const Certificate *const chain[], unsigned n) {
        static char text[512];
        gnutls_datum_t ders[N_MAX];

        for (unsigned i = 0; i < n; i++)
                certificate_check(gnutls_x509_crt_export2(chain[i]->certificate, GNUTLS_X509_FMT_DER, &ders[i]));

        _cleanup_free_ char *said = tls_chain_describe_unknown_issuer(ders, n);
        assert_true(!said || strlen(said) < sizeof text);
        strcpy(text, said ?: "(nothing)");
        for (unsigned i = 0; i < n; i++)
                gnutls_free(ders[i].data);
        return text;
}

#define said_of(...)                                                                                                   \
        describe((const Certificate *const[]){__VA_ARGS__},                                                            \
                 sizeof((const Certificate *const[]){__VA_ARGS__}) / sizeof(const Certificate *))

static Certificate make(const char *name, const Certificate *issuer) {
        return certificate_make(&(CertificateOptions){.name = name, .issuer = issuer});
}

static void test_the_first_that_is_missing_on_the_way_to_the_root_is_named(_unused_ void **state) {
        Certificate root = make("root", NULL), between = make("between", &root), leaf = make("leaf", &between);

        assert_string_equal(said_of(&leaf),
                            "The issuer is \"between\": it is not trusted, and its certificate has not been sent");
        assert_string_equal(said_of(&leaf, &between),
                            "The issuer is \"root\": it is not trusted, and its certificate has not been sent");
        assert_string_equal(said_of(&leaf, &between, &root), "The issuer is \"root\": it is not trusted");
        assert_string_equal(said_of(&leaf, &root),
                            "The issuer is \"between\": it is not trusted, and its certificate has not been sent");
        certificate_done(&root);
        certificate_done(&between);
        certificate_done(&leaf);
}

static void test_the_order_behind_the_peer_s_own_does_not_matter(_unused_ void **state) {
        Certificate root = make("root", NULL), between = make("between", &root), leaf = make("leaf", &between);
        Certificate other = make("other", NULL);

        assert_string_equal(said_of(&leaf, &other, &root, &between), "The issuer is \"root\": it is not trusted");
        certificate_done(&root);
        certificate_done(&between);
        certificate_done(&leaf);
        certificate_done(&other);
}

static void test_who_has_issued_for_himself_lacks_nobody(_unused_ void **state) {
        Certificate alone = make("alone", NULL);

        assert_string_equal(said_of(&alone), "The issuer is \"alone\": it is not trusted");
        certificate_done(&alone);
}

static void test_a_chain_that_goes_in_circles_has_an_end(_unused_ void **state) {
        Certificate first = make("a", NULL), b = make("b", &first), a = make("a", &b);

        assert_string_equal(said_of(&a, &b), "The issuer is \"b\": it is not trusted");
        certificate_done(&first);
        certificate_done(&a);
        certificate_done(&b);
}

static void test_of_a_chain_that_is_longer_than_any_the_beginning_counts(_unused_ void **state) {
        Certificate chain[N_MAX];
        const Certificate *pointers[N_MAX];
        char name[16];

        for (unsigned i = N_MAX; i-- > 0;) {
                snprintf(name, sizeof name, "number %u", i);
                chain[i] = make(name, i + 1 < N_MAX ? &chain[i + 1] : NULL);
                pointers[i] = &chain[i];
        }

        assert_string_equal(describe(pointers, 16),
                            "The issuer is \"number 16\": it is not trusted, and its certificate has not been sent");
        assert_string_equal(describe(pointers, N_MAX), said_of(pointers[15]));
        for (unsigned i = 0; i < N_MAX; i++)
                certificate_done(&chain[i]);
}

static void test_a_name_is_cut_and_clean(_unused_ void **state) {
        char name[201] = "\x1b]0:", expected[300];

        memset(name + 4, 'n', sizeof name - 5);
        Certificate issuer = make(name, NULL), leaf = make("leaf", &issuer);
        snprintf(expected, sizeof expected,
                 "The issuer is \"\ufffd%.127s\": it is not trusted, and its certificate has not been sent", name + 1);
        assert_string_equal(said_of(&leaf), expected);
        certificate_done(&issuer);
        certificate_done(&leaf);
}

static void test_of_what_is_no_certificate_nothing_is_said(_unused_ void **state) {
        uint8_t noise[] = "noise";
        const gnutls_datum_t der = {noise, sizeof noise};

        assert_null(tls_chain_describe_unknown_issuer(&der, 1));
        assert_null(tls_chain_describe_unknown_issuer(NULL, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_first_that_is_missing_on_the_way_to_the_root_is_named),
                cmocka_unit_test(test_the_order_behind_the_peer_s_own_does_not_matter),
                cmocka_unit_test(test_who_has_issued_for_himself_lacks_nobody),
                cmocka_unit_test(test_a_chain_that_goes_in_circles_has_an_end),
                cmocka_unit_test(test_of_a_chain_that_is_longer_than_any_the_beginning_counts),
                cmocka_unit_test(test_a_name_is_cut_and_clean),
                cmocka_unit_test(test_of_what_is_no_certificate_nothing_is_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
