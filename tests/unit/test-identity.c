/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <grp.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "harness.h"

#include "certificate.h"
#include "transport/identity.h"

static bool has(const Identity *i, const char *name) {
        NameDigest digest;

        assert_int_equal(name_digest_parse(name, &digest), 0);
        return identity_has_name(i, &digest);
}

static void test_a_local_user_has_the_groups_that_the_kernel_tells_of(_unused_ void **state) {
        Identity i;
        int pair[2];
        gid_t groups[256];
        int n = getgroups(ELEMENTSOF(groups), groups);

        assert_in_range(n, 0, IDENTITY_GROUPS_MAX - 1);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        identity_init_socket(&i, pair[0], getuid(), 4711);
        assert_int_equal(i.kind, IDENTITY_USER);
        assert_int_equal(i.uid, getuid());
        assert_true(identity_has_group(&i, 4711));
        for (int k = 0; k < n; k++)
                assert_true(identity_has_group(&i, groups[k]));
        assert_false(identity_has_group(&i, 4712));
        close(pair[0]);
        close(pair[1]);
}

/* Run in a process of its own, which becomes a member of them. */
static int check_many_groups(void) {
        gid_t groups[3 * IDENTITY_GROUPS_MAX];
        Identity i;
        int pair[2];

        for (size_t k = 0; k < ELEMENTSOF(groups); k++)
                groups[k] = 100000 + (gid_t) k;
        if (setgroups(ELEMENTSOF(groups), groups) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                return 2;

        identity_init_socket(&i, pair[0], 1, 2);
        if (i.n != IDENTITY_GROUPS_MAX || !identity_has_group(&i, 2) || !identity_has_group(&i, groups[0]))
                return 1;

        /* One that matters more than others is kept, if the peer has it. */
        gid_t last = groups[ELEMENTSOF(groups) - 1];
        identity_keep_group(&i, pair[0], 4711);
        if (identity_has_group(&i, last) || identity_has_group(&i, 4711))
                return 1;
        identity_keep_group(&i, pair[0], last);
        return identity_has_group(&i, last) && i.n == IDENTITY_GROUPS_MAX ? 0 : 1;
}

static void test_of_more_groups_than_fit_the_first_count(_unused_ void **state) {
        int status;

        if (geteuid() != 0) {
                print_message("# only root can become a member of groups\n");
                skip();
        }

        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(check_many_groups());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void test_a_certificate_has_the_names_of_its_subject_and_alternative_ones(_unused_ void **state) {
        time_t now = time(NULL);
        Certificate c;
        gnutls_datum_t der;
        Identity i;

        certificate_check(gnutls_x509_privkey_init(&c.key));
        certificate_check(gnutls_x509_privkey_generate(c.key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
        certificate_check(gnutls_x509_crt_init(&c.certificate));
        certificate_check(gnutls_x509_crt_set_version(c.certificate, 3));
        certificate_check(gnutls_x509_crt_set_serial(c.certificate, "\1", 1));
        certificate_check(gnutls_x509_crt_set_activation_time(c.certificate, now));
        certificate_check(gnutls_x509_crt_set_expiration_time(c.certificate, now + 3600));
        certificate_check(gnutls_x509_crt_set_key(c.certificate, c.key));
        certificate_check(gnutls_x509_crt_set_dn_by_oid(c.certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "monitor", 7));
        certificate_check(gnutls_x509_crt_set_dn_by_oid(c.certificate, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, 0, "dba", 3));
        certificate_check(gnutls_x509_crt_set_dn_by_oid(c.certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, "Example", 7));
        certificate_check(gnutls_x509_crt_set_subject_alt_name(c.certificate, GNUTLS_SAN_DNSNAME, "Mon.Example.org", 15, 0));
        certificate_check(gnutls_x509_crt_set_subject_alt_name(c.certificate, GNUTLS_SAN_RFC822NAME, "m@example.org", 13,
                                                               GNUTLS_FSAN_APPEND));
        certificate_check(gnutls_x509_crt_set_subject_alt_name(c.certificate, GNUTLS_SAN_URI, "urn:x:1", 7, GNUTLS_FSAN_APPEND));
        certificate_check(gnutls_x509_crt_sign2(c.certificate, c.certificate, c.key, GNUTLS_DIG_SHA256, 0));
        certificate_check(gnutls_x509_crt_export2(c.certificate, GNUTLS_X509_FMT_DER, &der));

        identity_init_certificate(&i, &der);
        assert_int_equal(i.kind, IDENTITY_CERTIFICATE);
        assert_true(has(&i, "CN=monitor"));
        assert_true(has(&i, "OU=dba"));
        assert_true(has(&i, "O=Example"));
        assert_true(has(&i, "DNS=mon.example.org"));
        assert_true(has(&i, "DNS=MON.example.ORG"));
        assert_true(has(&i, "email=M@example.org"));
        assert_true(has(&i, "URI=urn:x:1"));
        assert_false(has(&i, "CN=Monitor"));
        assert_false(has(&i, "CN=dba"));
        assert_false(has(&i, "OU=monitor"));
        assert_int_equal(i.n, 6);

        gnutls_free(der.data);
        certificate_done(&c);
}

/* GnuTLS escapes some characters. */
static void test_a_name_is_compared_as_it_is_written(_unused_ void **state) {
        static const char *const names[] = {"Acme, Inc.", "#monitor", "a+b", "a\\b", " x ", "a\"b;<c>", "Doe, John"};

        for (size_t k = 0; k < ELEMENTSOF(names); k++) {
                Certificate c = certificate_make(&(CertificateOptions){.name = names[k]});
                char text[64];
                gnutls_datum_t der;
                Identity i;

                certificate_check(gnutls_x509_crt_export2(c.certificate, GNUTLS_X509_FMT_DER, &der));
                identity_init_certificate(&i, &der);
                snprintf(text, sizeof text, "CN=%s", names[k]);
                if (!has(&i, text))
                        fail_msg("not %s", text);
                gnutls_free(der.data);
                certificate_done(&c);
        }
}

static Identity identity_of(const Certificate *c) {
        gnutls_datum_t der;
        Identity i;

        certificate_check(gnutls_x509_crt_export2(c->certificate, GNUTLS_X509_FMT_DER, &der));
        identity_init_certificate(&i, &der);
        gnutls_free(der.data);
        return i;
}

/* Others may have a certificate with the same names. */
static void test_only_the_same_certificate_or_user_is_the_same_person(_unused_ void **state) {
        Certificate a = certificate_make(&(CertificateOptions){.name = "x"}), b = certificate_make(&(CertificateOptions){.name = "x"});
        Identity of_a = identity_of(&a), again = identity_of(&a), of_b = identity_of(&b), alice, bob, anonymous = {};

        assert_true(identity_is_same(&of_a, &again));
        assert_false(identity_is_same(&of_a, &of_b));
        assert_false(identity_is_same(&anonymous, &anonymous));
        assert_false(identity_is_same(&(Identity){.kind = IDENTITY_CERTIFICATE}, &(Identity){.kind = IDENTITY_CERTIFICATE}));

        identity_init_user(&alice, 1000);
        identity_init_user(&bob, 1001);
        assert_true(identity_is_same(&alice, &alice));
        assert_false(identity_is_same(&alice, &bob));
        assert_false(identity_is_same(&alice, &of_a));
        certificate_done(&a);
        certificate_done(&b);
}

/* A name must not come to be another one because a C string ends at a NUL. */
static void test_a_nul_in_a_name_is_a_part_of_it(_unused_ void **state) {
        Identity i = {};

        assert_true(identity_add_name(&i, "CN", "monitor\0evil", 12));
        assert_false(has(&i, "CN=monitor"));
}

static void test_more_or_longer_names_than_fit_are_left_out(_unused_ void **state) {
        char value[2048];
        Identity i = {};

        memset(value, 'x', sizeof value);
        assert_false(identity_add_name(&i, "CN", value, 1025));
        assert_false(identity_add_name(&i, "CN", "", 0));
        assert_int_equal(i.kind, IDENTITY_CERTIFICATE);
        for (size_t k = 1; k <= IDENTITY_NAMES_MAX; k++)
                assert_true(identity_add_name(&i, "CN", value, k));
        assert_false(identity_add_name(&i, "CN", "one more", 8));
        assert_false(has(&i, "CN=one more"));
        assert_int_equal(i.n, IDENTITY_NAMES_MAX);
}

static void test_what_is_no_certificate_has_no_names(_unused_ void **state) {
        Identity i;

        identity_init_certificate(&i, &(gnutls_datum_t){(uint8_t *) "nonsense", 8});
        assert_int_equal(i.kind, IDENTITY_CERTIFICATE);
        assert_int_equal(i.n, 0);
}

/* What the record has for groups must not be taken for names, nor the other way round. */
static void test_groups_are_no_names(_unused_ void **state) {
        Identity user, certificate = {};
        NameDigest digest;

        identity_init_user(&user, 1000);
        for (gid_t gid = 0; gid < 4; gid++)
                assert_true(identity_add_group(&user, gid));
        memcpy(&digest, user.groups, sizeof digest);
        assert_false(identity_has_name(&user, &digest));

        assert_true(identity_add_name(&certificate, "CN", "x", 1));
        assert_false(identity_has_group(&certificate, certificate.groups[0]));
}

static void test_a_name_is_written_with_its_type(_unused_ void **state) {
        static const char *const bad[] = {"", "CN", "CN=", "cn=x", "=x", "monitor", "IP=192.0.2.1", "CN =x"};
        NameDigest digest;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(name_digest_parse(bad[i], &digest), -EINVAL);
        assert_int_equal(name_digest_parse("URI=a=b", &digest), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_local_user_has_the_groups_that_the_kernel_tells_of),
                cmocka_unit_test(test_of_more_groups_than_fit_the_first_count),
                cmocka_unit_test(test_a_certificate_has_the_names_of_its_subject_and_alternative_ones),
                cmocka_unit_test(test_a_name_is_compared_as_it_is_written),
                cmocka_unit_test(test_only_the_same_certificate_or_user_is_the_same_person),
                cmocka_unit_test(test_a_nul_in_a_name_is_a_part_of_it),
                cmocka_unit_test(test_more_or_longer_names_than_fit_are_left_out),
                cmocka_unit_test(test_what_is_no_certificate_has_no_names),
                cmocka_unit_test(test_groups_are_no_names),
                cmocka_unit_test(test_a_name_is_written_with_its_type),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
