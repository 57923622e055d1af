/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gnutls/abstract.h>

/*
 * RSA signatures by OpenSSL. A full handshake of a server with an RSA certificate is the signature and little
 * else, and nettle, which GnuTLS has it from, takes five times as long (RSA-2048 and Debian 12: 3.3 ms, against
 * 0.65 ms). vCenter's own authority makes RSA certificates, so that many a site has no other.
 *
 * All else stays with GnuTLS: what is signed and how, and decryption (for hosts without forward secrecy; of what has been
 * decrypted GnuTLS leaves a copy in freed memory then, as it does with any key that is not its own).
 */

/* Replaces *@key, which must be usable, by one that does the same and signs with OpenSSL. One that is not RSA, not in
 * memory (but in a token), or such that OpenSSL does not read it is left as it is, and slower; so is a signature that
 * OpenSSL cannot make or, by a policy of the system's, must not. */
void rsa_signer_take_over(gnutls_privkey_t *key);
