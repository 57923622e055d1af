/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Makes certificates for tests of TLS, with a key that is made quickly. A failure exits the program. */

#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "basic/macro.h"

typedef struct Certificate {
        gnutls_x509_crt_t certificate;
        gnutls_x509_privkey_t key;
} Certificate;

typedef struct CertificateOptions {
        const char *name;          /* common name */
        time_t valid_until;        /* 0: for an hour */
        size_t padding;            /* bytes of an unknown extension */
        const Certificate *issuer; /* NULL: itself */
} CertificateOptions;

/* @r: result of GnuTLS */
static inline void certificate_check(int r) {
        if (r >= 0)
                return;

        fprintf(stderr, "A certificate cannot be made: %s\n", gnutls_strerror(r));
        abort();
}

static inline Certificate certificate_make(const CertificateOptions *o) {
        unsigned curve = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
        time_t now = time(NULL);
        Certificate c;

        certificate_check(gnutls_x509_privkey_init(&c.key));
        certificate_check(gnutls_x509_privkey_generate(c.key, GNUTLS_PK_ECDSA, curve, 0));
        certificate_check(gnutls_x509_crt_init(&c.certificate));
        certificate_check(gnutls_x509_crt_set_version(c.certificate, 3));
        certificate_check(gnutls_x509_crt_set_serial(c.certificate, "\1", 1));
        certificate_check(gnutls_x509_crt_set_dn_by_oid(c.certificate, GNUTLS_OID_X520_COMMON_NAME, 0,
                                                        o->name, (unsigned) strlen(o->name)));
        certificate_check(gnutls_x509_crt_set_activation_time(c.certificate, now - 3600));
        certificate_check(gnutls_x509_crt_set_expiration_time(c.certificate, o->valid_until ?: now + 3600));
        certificate_check(gnutls_x509_crt_set_key(c.certificate, c.key));

        _cleanup_free_ void *padding = o->padding > 0 ? calloc(1, o->padding) : NULL;
        if (padding)
                certificate_check(gnutls_x509_crt_set_extension_by_oid(c.certificate, "1.3.6.1.4.1.99999.1",
                                                                       padding, o->padding, 0));

        const Certificate *issuer = o->issuer ?: &c;
        certificate_check(gnutls_x509_crt_sign2(c.certificate, issuer->certificate, issuer->key,
                                                GNUTLS_DIG_SHA256, 0));
        return c;
}

static inline void certificate_done(Certificate *c) {
        gnutls_x509_crt_deinit(c->certificate);
        gnutls_x509_privkey_deinit(c->key);
}

static inline gnutls_certificate_credentials_t certificate_credentials(const Certificate *c) {
        gnutls_certificate_credentials_t credentials;
        gnutls_x509_crt_t certificate = c->certificate;

        certificate_check(gnutls_certificate_allocate_credentials(&credentials));
        certificate_check(gnutls_certificate_set_x509_key(credentials, &certificate, 1, c->key));
        return credentials;
}

static inline void certificate_write(int fd, gnutls_datum_t pem) {
        ssize_t n = write(fd, pem.data, pem.size);

        if (n != (ssize_t) pem.size)
                abort();
        gnutls_free(pem.data);
}

/* Writes a chain of @n certificates, and the key of the first one, to a new file. @path: as for mkstemp(3) */
static inline void certificate_save(const Certificate *chain, size_t n, char *path) {
        _cleanup_close_ int fd = mkstemp(path);
        gnutls_datum_t pem;

        for (size_t i = 0; i < n; i++) {
                certificate_check(gnutls_x509_crt_export2(chain[i].certificate, GNUTLS_X509_FMT_PEM, &pem));
                certificate_write(fd, pem);
        }

        certificate_check(gnutls_x509_privkey_export2_pkcs8(chain->key, GNUTLS_X509_FMT_PEM, NULL,
                                                            GNUTLS_PKCS_PLAIN, &pem));
        certificate_write(fd, pem);
}
