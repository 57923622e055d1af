/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <gnutls/abstract.h>
#include <sys/stat.h>

#include "basic/text.h"
#include "tls-credentials.h"

/* Certificates in a file, from ours to the root: GnuTLS's default limit for chains of peers */
#define CHAIN_MAX 16U

int tls_fail(char **ret_problem, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        *ret_problem = text_format_va(format, ap);
        va_end(ap);

        return error;
}

/* GnuTLS's own error would say no more than that the file cannot be read. */
static int check_readable(const char *what, const char *path, char **ret_problem) {
        struct stat st;

        if (gnutls_url_is_supported(path))
                return 0;

        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return tls_fail(ret_problem, -errno, "%s %s cannot be read: %s", what, path, strerror(errno));
        if (!S_ISREG(st.st_mode)) /* reading a pipe would block */
                return tls_fail(ret_problem, -EINVAL, "%s %s is not a regular file", what, path);

        return 0;
}

static int load_chain(const char *path, gnutls_pcert_st *chain, unsigned *n, char **ret_problem) {
        int r = check_readable("The certificate", path, ret_problem);
        if (r < 0)
                return r;

        r = gnutls_pcert_list_import_x509_file(chain, n, path, GNUTLS_X509_FMT_PEM, NULL, NULL, 0);
        if (r == GNUTLS_E_SHORT_MEMORY_BUFFER || r == GNUTLS_E_UNIMPLEMENTED_FEATURE) /* more than it can sort */
                return tls_fail(ret_problem, -EINVAL, "There are more than %u certificates in %s", CHAIN_MAX, path);
        if (r < 0)
                return tls_fail(ret_problem, -EINVAL, "The certificate in %s cannot be used: %s", path, gnutls_strerror(r));

        return 0;
}

static int import_key(gnutls_privkey_t key, const char *path) {
        gnutls_datum_t pem;

        if (gnutls_url_is_supported(path))
                return gnutls_privkey_import_url(key, path, 0);

        int r = gnutls_load_file(path, &pem);
        if (r < 0)
                return r;

        r = gnutls_privkey_import_x509_raw(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
        gnutls_memset(pem.data, 0, pem.size);
        gnutls_free(pem.data);
        return r;
}

static int load_key(const char *path, gnutls_privkey_t *ret, char **ret_problem) {
        gnutls_privkey_t key;

        int r = check_readable("The key", path, ret_problem);
        if (r < 0)
                return r;
        if (gnutls_privkey_init(&key) < 0)
                return -ENOMEM;

        r = import_key(key, path);
        if (r < 0) {
                gnutls_privkey_deinit(key);
                return tls_fail(ret_problem, -EINVAL, "The key in %s cannot be used: %s", path, gnutls_strerror(r));
        }

        *ret = key;
        return 0;
}

/* gnutls_certificate_set_x509_key_file2() is not used: it does not say which file is wrong, and (3.7) leaks memory if
 * a certificate is broken. */
static int load_certificate(TlsCredentials *c, const char *certificate, const char *key_file, char **ret_problem) {
        gnutls_pcert_st chain[CHAIN_MAX];
        unsigned n = CHAIN_MAX;
        gnutls_privkey_t key = NULL;

        int r = load_chain(certificate, chain, &n, ret_problem);
        if (r < 0)
                return r;

        r = load_key(key_file ?: certificate, &key, ret_problem);
        if (r >= 0) {
                r = gnutls_certificate_set_key(c->gnutls, NULL, 0, chain, (int) n, key);
                if (r >= 0)
                        return 0; /* the credentials own the chain and the key now */

                r = tls_fail(ret_problem, r == GNUTLS_E_CERTIFICATE_KEY_MISMATCH ? -EKEYREJECTED : -EINVAL,
                             r == GNUTLS_E_CERTIFICATE_KEY_MISMATCH
                                     ? "The key in %s is not that of the certificate in %s"
                                     : "The key in %s and the certificate in %s cannot be used together",
                             key_file ?: certificate, certificate);
        }

        if (key)
                gnutls_privkey_deinit(key);
        for (unsigned i = 0; i < n; i++)
                gnutls_pcert_deinit(&chain[i]);
        return r;
}

static int examine_certificate(TlsCredentials *c, char **ret_problem) {
        uint8_t hash[TLS_THUMBPRINT_SIZE];
        size_t size = sizeof hash;
        gnutls_x509_crt_t certificate;
        gnutls_datum_t raw;

        int r = gnutls_certificate_get_crt_raw(c->gnutls, 0, 0, &raw);
        if (r >= 0)
                r = gnutls_x509_crt_init(&certificate);
        if (r < 0)
                return tls_fail(ret_problem, -EINVAL, "The certificate cannot be looked at: %s", gnutls_strerror(r));

        r = gnutls_x509_crt_import(certificate, &raw, GNUTLS_X509_FMT_DER);
        if (r >= 0) {
                c->valid_from = gnutls_x509_crt_get_activation_time(certificate);
                c->valid_until = gnutls_x509_crt_get_expiration_time(certificate);
                r = gnutls_fingerprint(GNUTLS_DIG_SHA1, &raw, hash, &size);
        }
        gnutls_x509_crt_deinit(certificate);
        if (r < 0)
                return tls_fail(ret_problem, -EINVAL, "The certificate cannot be looked at: %s", gnutls_strerror(r));

        text_format_fingerprint(hash, TLS_THUMBPRINT_SIZE, c->thumbprint);
        return 0;
}

static int load_trust(TlsCredentials *c, const char *path, char **ret_problem) {
        if (!path) {
                int r = gnutls_certificate_set_x509_system_trust(c->gnutls);
                c->trusts_nobody = r == 0;
                return r < 0 ? tls_fail(ret_problem, -ENOENT, "The system's trusted certificates cannot be read: %s",
                                        gnutls_strerror(r))
                             : 0;
        }

        int r = check_readable("The file of trusted certificates", path, ret_problem);
        if (r < 0)
                return r;

        r = gnutls_certificate_set_x509_trust_file(c->gnutls, path, GNUTLS_X509_FMT_PEM);
        if (r < 0)
                return tls_fail(ret_problem, -EINVAL, "The trusted certificates in %s cannot be used: %s", path,
                                gnutls_strerror(r));
        if (r == 0)
                return tls_fail(ret_problem, -EINVAL, "There is no certificate in %s: it is to have trusted ones, in PEM",
                                path);

        return 0;
}

int tls_credentials_new(const TlsParameters *p, TlsCredentials **ret, char **ret_problem) {
        _cleanup_(tls_credentials_freep) TlsCredentials *c = calloc(1, sizeof(TlsCredentials));
        if (!c)
                return -ENOMEM;

        c->freeing = WORKER_INIT;
        if (gnutls_certificate_allocate_credentials(&c->gnutls) < 0)
                return -ENOMEM;

        int r = 0;
        if (p->certificate_file) {
                c->freed_in_thread = p->role == TLS_SERVER && gnutls_url_is_supported(p->key_file ?: p->certificate_file);
                r = load_certificate(c, p->certificate_file, p->key_file, ret_problem);
                if (r >= 0)
                        r = examine_certificate(c, ret_problem);
        }
        if (r >= 0 && p->peer_check != TLS_PEER_ANY)
                r = load_trust(c, p->trusted_ca_file, ret_problem);
        if (r < 0)
                return r;

        /* For DHE in TLS 1.2; the groups of RFC 7919. */
        if (p->role == TLS_SERVER)
                (void) gnutls_certificate_set_known_dh_params(c->gnutls, GNUTLS_SEC_PARAM_MEDIUM);

        *ret = TAKE_PTR(c);
        return 0;
}

static void credentials_free(void *userdata) {
        TlsCredentials *c = userdata;

        if (c->gnutls)
                gnutls_certificate_free_credentials(c->gnutls);
        worker_done(&c->freeing);
        free(c);
}

/* In a thread: closes the session of the token. */
static void close_token(void *userdata) {
        TlsCredentials *c = userdata;

        worker_unlock(&c->freeing);
        gnutls_certificate_free_credentials(TAKE_PTR(c->gnutls));
        worker_lock(&c->freeing);
}

TlsCredentials *tls_credentials_free(TlsCredentials *c) {
        bool in_thread = c && c->freed_in_thread && worker_start(&c->freeing, "tls-free", close_token, c) >= 0;

        if (c && (!in_thread || worker_stop(&c->freeing, 0, credentials_free)))
                credentials_free(c);
        return NULL;
}
