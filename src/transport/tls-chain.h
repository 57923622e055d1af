/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gnutls/gnutls.h>

/*
 * What is missing in a chain of certificates whose issuer is unknown, for people: GnuTLS does not say who that is, nor
 * whether the peer has kept an intermediate authority to itself.
 *
 * @chain: as the peer has sent it, its own first. Returns: a sentence without its end, to be freed; NULL if there is
 * nothing to be said, or memory is short.
 */
char *tls_chain_describe_unknown_issuer(const gnutls_datum_t *chain, unsigned n);
