/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gnutls/gnutls.h>

/*
 * Describes why the issuer of a certificate chain is unknown: GnuTLS tells neither the issuer's name nor whether the peer has
 * not sent the certificate of an intermediate authority.
 *
 * @chain: the certificates (DER) that the peer has sent, its own first. Returns: a sentence without a full stop, to be freed;
 * NULL if the chain cannot be parsed or memory is short.
 */
char *tls_chain_describe_unknown_issuer(const gnutls_datum_t *chain, unsigned n);
