/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "address.h"

/*
 * Account: bounds the memory that strangers and clients can make us keep. Everything that is kept for one of them has a
 * Charge: so many bytes, charged to an owner, which is a local user or a remote address. There are two limits:
 *
 * - The total: all charges together may be so many bytes.
 * - The share: one owner may have half of what the other owners leave of the total, and in any case one part in
 *   ACCOUNT_OWNERS of the total. So there is room for another owner, whatever the first one has taken.
 *
 * When a charge grows beyond a limit, charges are given up as soon as the loop comes round, until the limit is kept: those
 * of the owner if the limit is its share, those of all owners if it is the total. ChargeClass is the order in which they
 * go.
 *
 * An owner exists as long as it has a charge. Whatever the number of charges and owners, each function takes the same time,
 * and so does finding what is given up next.
 */
typedef struct Account Account;
typedef struct AccountOwner AccountOwner;
typedef struct Charge Charge;

#define ACCOUNT_MAX_DEFAULT (512U * 1024U * 1024U)
#define ACCOUNT_OWNERS 256U

/* The first class that has charges loses one first: the charge that has been there (has not been 0) for longest. Of
 * CHARGE_CONNECTION it is the newest, so that a crowd does not drive out those who came before it. */
typedef enum ChargeClass {
        CHARGE_CLOSING,      /* a connection that has ended and whose peer has not read our last words yet (closer.h) */
        CHARGE_UNIDENTIFIED, /* a connection from a VM's host that has not said which VM it is */
        CHARGE_QUERY,        /* of an admin connection: an incomplete call, what waits to be read here and in the kernel */
        CHARGE_INPUT,        /* what clients have typed and their VM has not taken */
        CHARGE_LAG,          /* output that is kept for clients that lag: they skip it, where they may */
        CHARGE_CLIENT,       /* of clients: what waits to be read, here and in the kernel; they are disconnected */
        CHARGE_CONNECTION,   /* connections of clients and to the admin sockets, as such */
        _CHARGE_CLASS_MAX,
} ChargeClass;

/* To whom something is charged; all zero: it is not known to whom. */
typedef struct AccountKey {
        uint8_t kind;
        uint8_t id[8];
} AccountKey;

AccountKey account_key_of_user(uid_t uid);

/* An IPv4 address, or the /64 of an IPv6 address, since one host can have all of these. All loopback addresses are one:
 * local users can connect from any of them. */
AccountKey account_key_of_address(const SocketAddress *address);

/* "uid 1000", "192.0.2.7", "2001:db8::/64", "127.0.0.1" */
#define ACCOUNT_KEY_TEXT_MAX (INET6_ADDRSTRLEN + sizeof("/64"))
const char *account_key_format(const AccountKey *key, char buffer[static ACCOUNT_KEY_TEXT_MAX]);

/* Frees what @charge is for, or some of it: closes the charge or makes it smaller. Returns: false if nothing had to be freed,
 * the charge being smaller by now. */
typedef bool (*ChargeHandler)(Charge *charge);

/* Embedded in what it is for, all zero to begin with. */
struct Charge {
        Account *account; /* NULL: it is closed */
        AccountOwner *owner;
        ChargeClass class;
        size_t size; /* bytes */
        ChargeHandler give_up;
        uint64_t round; /* of giving up in which it was last given up */

        Charge *prev, *next; /* of all in its class that are not 0 */
        Charge *owner_prev, *owner_next; /* of its owner's among these */
};

/* @message_id: of what is logged when something is given up. Returns: 0 or a negative errno. */
int account_new(sd_event *event, const char *message_id, Account **ret);

/* All charges must have been closed. */
Account *account_free(Account *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Account *, account_free);

/* The total, in bytes, from now on */
void account_set_max(Account *a, size_t max);
size_t account_max(const Account *a);

size_t account_size(const Account *a);         /* bytes charged */
uint64_t account_n_given_up(const Account *a); /* charges, so far */

/* Nothing is charged yet. @charge must be closed. If there is no memory to tell the owner apart, it is charged to those
 * who are not known. */
void charge_open(Charge *charge, Account *a, const AccountKey *key, ChargeClass class, ChargeHandler give_up);

/* The same, for the owner of @other, which must be open. */
void charge_open_like(Charge *charge, const Charge *other, ChargeClass class, ChargeHandler give_up);

static inline bool charge_is_open(const Charge *charge) {
        return charge->account;
}

/* To be called by the two below only */
void charge_do_close(Charge *charge);
void charge_do_set(Charge *charge, size_t size);

/* Does nothing if it is closed. */
static inline void charge_close(Charge *charge) {
        if (charge_is_open(charge))
                charge_do_close(charge);
}

/* What it is for is so large now. Nothing is given up before the loop comes round. */
static inline void charge_set(Charge *charge, size_t size) {
        if (size != charge->size)
                charge_do_set(charge, size);
}

/* A connection whose peer has less than this to read is not the one to blame for a want of memory. */
#define CHARGE_TO_BLAME (32U * 1024U)
