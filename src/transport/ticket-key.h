/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/time.h"

/*
 * TicketKey: the secret behind the session tickets that a server gives its peers. It lies in a file as well, in a folder
 * in memory that outlives the process: the moment at which all peers come back at once is a restart.
 *
 * Whoever has it can resume in any peer's name, be the server to those who resume, and read what was recorded of TLS 1.2
 * since it was made (in TLS 1.3 not: each session has a key exchange of its own). So there is another one each week, which
 * is as long as a ticket may be good (RFC 8446, 4.6.1); tickets of the former one are passed over.
 *
 * Of one thread only.
 */
typedef struct TicketKey TicketKey;

#define TICKET_KEY_USEC (7 * 24 * 3600 * USEC_PER_SEC)

/* Of a key for GnuTLS, and of what it is derived from */
#define TICKET_KEY_SIZE 64U

/* @folder: that of the file, several are separated by colons and the first is it; or NULL: it is in memory only. Nothing
 * is read or made yet. Returns: 0 or -ENOMEM. */
int ticket_key_new(const char *folder, TicketKey **ret);
TicketKey *ticket_key_free(TicketKey *k);
DEFINE_TRIVIAL_CLEANUP_FUNC(TicketKey *, ticket_key_free);

/* Sees to it that there is one that is not too old: from the file, or else it is made, and put there. Logs what is wrong
 * with the file; nothing depends on that. Returns: 0, or -EIO if there is no randomness. */
int ticket_key_refresh(TicketKey *k);

/* A key for GnuTLS, of those whose @purpose is the same and of nobody else. It is the caller's to erase.
 * Returns: as above. */
int ticket_key_derive(TicketKey *k, const uint8_t purpose[static TICKET_KEY_SIZE], uint8_t ret[static TICKET_KEY_SIZE]);
