/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <gnutls/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "basic/macro.h"
#include "rsa-signer.h"

/* What TLS 1.2 has encrypted for us in a key exchange without forward secrecy (RFC 5246, 7.4.7.1) */
#define PREMASTER_SIZE 48U

typedef struct RsaSigner {
        EVP_PKEY *key;
        gnutls_privkey_t original; /* for what OpenSSL is not asked */
} RsaSigner;

typedef struct Scheme {
        gnutls_sign_algorithm_t algorithm;
        int padding;
        const EVP_MD *(*digest)(void); /* NULL: what is signed says itself what it is */
} Scheme;

/* What GnuTLS asks for in TLS 1.3, and in all that is older (PKCS #1, which it has prepared). */
static const Scheme schemes[] = {
        {GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, RSA_PKCS1_PSS_PADDING, EVP_sha256},
        {GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, RSA_PKCS1_PSS_PADDING, EVP_sha384},
        {GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, RSA_PKCS1_PSS_PADDING, EVP_sha512},
        {GNUTLS_SIGN_RSA_RAW,             RSA_PKCS1_PADDING,     NULL      },
};

DEFINE_TRIVIAL_CLEANUP_FUNC(EVP_PKEY_CTX *, EVP_PKEY_CTX_free);

static RsaSigner *rsa_signer_free(RsaSigner *s) {
        if (s->original)
                gnutls_privkey_deinit(s->original);
        EVP_PKEY_free(s->key);
        free(s);
        return NULL;
}
DEFINE_TRIVIAL_CLEANUP_FUNC(RsaSigner *, rsa_signer_free);

/* Returns: whether there is a signature. */
static bool sign_with_openssl(const RsaSigner *s, const Scheme *scheme, const gnutls_datum_t *hash,
                              gnutls_datum_t *ret) {
        _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(s->key, NULL);
        size_t size = (size_t) EVP_PKEY_get_size(s->key);
        uint8_t *signature = gnutls_malloc(size);

        if (!context || !signature ||
            EVP_PKEY_sign_init(context) <= 0 ||
            EVP_PKEY_CTX_set_rsa_padding(context, scheme->padding) <= 0 ||
            (scheme->digest && EVP_PKEY_CTX_set_signature_md(context, scheme->digest()) <= 0) ||
            (scheme->padding == RSA_PKCS1_PSS_PADDING &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) <= 0) ||
            EVP_PKEY_sign(context, signature, &size, hash->data, hash->size) <= 0) {
                gnutls_free(signature);
                ERR_clear_error();
                return false;
        }

        *ret = (gnutls_datum_t){signature, (unsigned) size};
        return true;
}

static int on_sign(_unused_ gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *userdata,
                   _unused_ unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *ret) {
        const RsaSigner *s = userdata;

        for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
                if (schemes[i].algorithm == algorithm && sign_with_openssl(s, &schemes[i], hash, ret))
                        return 0;

        return gnutls_privkey_sign_hash2(s->original, algorithm, 0, hash, ret);
}

/* Whether it could be decrypted must not show, not even in how long it takes (Bleichenbacher's attack): what could not
 * is something that nobody knows, and the handshake fails as with any wrong secret. */
static int on_decrypt(_unused_ gnutls_privkey_t key, void *userdata, const gnutls_datum_t *ciphertext,
                      gnutls_datum_t *ret) {
        const RsaSigner *s = userdata;
        uint8_t *premaster = gnutls_malloc(PREMASTER_SIZE);

        *ret = (gnutls_datum_t){premaster, PREMASTER_SIZE};
        if (!premaster || gnutls_rnd(GNUTLS_RND_KEY, premaster, PREMASTER_SIZE) < 0) {
                gnutls_free(premaster);
                *ret = (gnutls_datum_t){};
                return GNUTLS_E_MEMORY_ERROR;
        }

        (void) gnutls_privkey_decrypt_data2(s->original, 0, ciphertext, premaster, PREMASTER_SIZE);
        return 0;
}

static void on_deinit(_unused_ gnutls_privkey_t key, void *userdata) {
        rsa_signer_free(userdata);
}

static int on_info(_unused_ gnutls_privkey_t key, unsigned flags, void *userdata) {
        const RsaSigner *s = userdata;

        if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
                return GNUTLS_PK_RSA;
        if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
                return EVP_PKEY_get_bits(s->key);
        if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
                return gnutls_sign_supports_pk_algorithm(GNUTLS_FLAGS_TO_SIGN_ALGO(flags), GNUTLS_PK_RSA) != 0;

        return -1;
}

static EVP_PKEY *copy_to_openssl(gnutls_privkey_t key) {
        gnutls_x509_privkey_t x509;
        gnutls_datum_t der = {};
        EVP_PKEY *copy = NULL;

        if (gnutls_privkey_export_x509(key, &x509) < 0)
                return NULL;

        if (gnutls_x509_privkey_export2(x509, GNUTLS_X509_FMT_DER, &der) >= 0) {
                const uint8_t *p = der.data;

                copy = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p, (long) der.size);
                gnutls_memset(der.data, 0, der.size);
                gnutls_free(der.data);
        }
        gnutls_x509_privkey_deinit(x509);
        ERR_clear_error();

        return copy;
}

void rsa_signer_take_over(gnutls_privkey_t *key) {
        if (gnutls_privkey_get_type(*key) != GNUTLS_PRIVKEY_X509 ||
            gnutls_privkey_get_pk_algorithm(*key, NULL) != GNUTLS_PK_RSA)
                return;

        _cleanup_(rsa_signer_freep) RsaSigner *s = calloc(1, sizeof(RsaSigner));
        gnutls_privkey_t replacement;

        if (!s || !(s->key = copy_to_openssl(*key)) || gnutls_privkey_init(&replacement) < 0)
                return;

        if (gnutls_privkey_import_ext4(replacement, s, NULL, on_sign, on_decrypt, on_deinit, on_info, 0) < 0) {
                gnutls_privkey_deinit(replacement);
                return;
        }

        TAKE_PTR(s)->original = *key;
        *key = replacement;
}
