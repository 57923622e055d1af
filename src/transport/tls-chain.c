/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <gnutls/x509.h>
#include <stdio.h>

#include "basic/macro.h"
#include "basic/text.h"
#include "tls-chain.h"

/* GnuTLS's default limit for chains of peers */
#define CHAIN_MAX 16U

/* Bytes of an authority's name; a longer name is cut */
#define NAME_MAX_SHOWN 128U

typedef struct Chain {
        gnutls_x509_crt_t certificates[CHAIN_MAX];
        unsigned n;
} Chain;

static void chain_done(Chain *c) {
        while (c->n > 0)
                gnutls_x509_crt_deinit(c->certificates[--c->n]);
}

static int chain_import(Chain *c, const gnutls_datum_t *ders, unsigned n) {
        for (unsigned i = 0; i < MIN(n, CHAIN_MAX); i++) {
                int r = gnutls_x509_crt_init(&c->certificates[i]);
                if (r < 0)
                        return r;

                c->n++;
                r = gnutls_x509_crt_import(c->certificates[i], &ders[i], GNUTLS_X509_FMT_DER);
                if (r < 0)
                        return r;
        }

        return 0;
}

static bool has_issued(gnutls_x509_crt_t issuer, gnutls_x509_crt_t certificate) {
        return gnutls_x509_crt_check_issuer(certificate, issuer) > 0;
}

/* Returns: the issuer of @certificate, which may be @certificate itself; NULL if the chain does not have it. */
static gnutls_x509_crt_t chain_issuer(const Chain *c, gnutls_x509_crt_t certificate) {
        if (has_issued(certificate, certificate))
                return certificate;

        for (unsigned i = 0; i < c->n; i++)
                if (has_issued(c->certificates[i], certificate))
                        return c->certificates[i];

        return NULL;
}

/* Returns: the last certificate on the way from the peer's own to the root. There may be a loop: nothing has been
 * verified yet. */
static gnutls_x509_crt_t chain_last(const Chain *c) {
        gnutls_x509_crt_t last = c->certificates[0], issuer;

        for (unsigned steps = 0; steps < c->n; steps++) {
                issuer = chain_issuer(c, last);
                if (!issuer || issuer == last)
                        break;
                last = issuer;
        }

        return last;
}

static char *issuer_name(gnutls_x509_crt_t certificate) {
        char name[1024];
        size_t size = sizeof name;

        int r = gnutls_x509_crt_get_issuer_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size);
        if (r < 0) {
                size = sizeof name;
                r = gnutls_x509_crt_get_issuer_dn(certificate, name, &size);
        }

        return r >= 0 && size > 0 ? text_sanitize(name, size, NAME_MAX_SHOWN) : NULL;
}

char *tls_chain_describe_unknown_issuer(const gnutls_datum_t *ders, unsigned n) {
        _cleanup_(chain_done) Chain chain = {};

        if (chain_import(&chain, ders, n) < 0 || chain.n == 0)
                return NULL;

        gnutls_x509_crt_t last = chain_last(&chain);
        _cleanup_free_ char *name = issuer_name(last);
        return name ? text_format("The issuer is \"%s\": it is not trusted%s", name,
                                  chain_issuer(&chain, last) ? "" : ", and its certificate has not been sent")
                    : NULL;
}
