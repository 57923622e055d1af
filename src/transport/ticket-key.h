/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/time.h"

/*
 * TicketKey: the secret from which the keys of session tickets are derived. It is also stored in a file, in a folder in memory
 * that outlives the process, because all peers reconnect after a restart of the server, and should be able to resume.
 *
 * Whoever knows the secret can resume sessions as any peer, impersonate the server to peers that resume, and decrypt recorded
 * TLS 1.2 sessions (not those of TLS 1.3, which have a key exchange of their own). So it is replaced every week, which is as
 * long as a ticket may be valid (RFC 8446, 4.6.1). Tickets of the previous secret are ignored, and the peer makes a full
 * handshake.
 *
 * To be used by one thread only.
 */
typedef struct TicketKey TicketKey;

#define TICKET_KEY_USEC (7 * 24 * 3600 * USEC_PER_SEC)

/* Bytes of a key for GnuTLS, and of a purpose */
#define TICKET_KEY_SIZE 64U

/* @folder: for the file, usually $RUNTIME_DIRECTORY: of several, separated by colons, the first one is used. NULL: there is no
 * file. Reads and writes nothing yet. Returns: 0 or -ENOMEM. */
int ticket_key_new(const char *folder, TicketKey **ret);
TicketKey *ticket_key_free(TicketKey *k);
DEFINE_TRIVIAL_CLEANUP_FUNC(TicketKey *, ticket_key_free);

/* Reads the secret from the file, or makes a new one and writes it, if there is none or it is too old. Logs problems with the
 * file, which are no failure. Returns: 0, or -EIO if there are no random numbers. */
int ticket_key_refresh(TicketKey *k);

/* Derives a key for GnuTLS from the secret and @purpose. The caller must erase it. Returns: the values of
 * ticket_key_refresh(). */
int ticket_key_derive(TicketKey *k, const uint8_t purpose[static TICKET_KEY_SIZE], uint8_t ret[static TICKET_KEY_SIZE]);
