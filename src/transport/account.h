/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "address.h"

/*
 * Account: limits the memory that peers can make vspcd use. All memory that is kept for a peer has a Charge: a number of
 * bytes, charged to an owner, which is a local user or a remote address. There are two limits:
 *
 * - The total: the maximum of all charges together.
 * - The share: one owner may have half of what the other owners leave of the total, and in any case one part in
 *   ACCOUNT_OWNERS of the total. So there is room for another owner, whatever the first one has taken.
 *
 * When a charge grows beyond a limit, charges are given up in the next iteration of the event loop, until the limit is kept:
 * those of the owner if the limit is its share, those of all owners if it is the total. ChargeClass is the order in which they
 * are given up.
 *
 * An owner exists as long as it has a charge. Each function takes O(1), and so does finding the charge that is given up next.
 */
typedef struct Account Account;
typedef struct AccountOwner AccountOwner;
typedef struct Charge Charge;

#define ACCOUNT_MAX_DEFAULT (512U * 1024U * 1024U)
#define ACCOUNT_OWNERS 256U

/* Charges of the first class are given up first. Within a class, the charge that has not been 0 for the longest time is given
 * up first; in CHARGE_CONNECTION the newest, so that many new connections do not displace earlier ones. */
typedef enum ChargeClass {
        CHARGE_CLOSING,      /* a connection that has ended, and whose peer has not read the last output yet (closer.h) */
        CHARGE_UNIDENTIFIED, /* a connection from a host that has not said which VM it is for */
        CHARGE_QUERY,        /* an admin connection's incomplete call, and unread replies here and in the kernel */
        CHARGE_INPUT,        /* typed input that a VM has not taken; it is dropped */
        CHARGE_LAG,          /* output that is kept for slow clients; they skip it if SlowClient= permits */
        CHARGE_CLIENT,       /* a client's unread output, here and in the kernel; the client is disconnected */
        CHARGE_CONNECTION,   /* the connection itself of a client, or to an admin socket */
        _CHARGE_CLASS_MAX,
} ChargeClass;

/* Identifies an owner. All zero: unknown */
typedef struct AccountKey {
        uint8_t kind;
        uint8_t id[8];
} AccountKey;

AccountKey account_key_of_user(uid_t uid);

/* Returns: the key of an IPv4 address, or of the /64 network of an IPv6 address, because one host can have all addresses in
 * it. All loopback addresses have the same key, because local users can connect from any of them. */
AccountKey account_key_of_address(const SocketAddress *address);

/* "uid 1000", "192.0.2.7", "2001:db8::/64", "127.0.0.1" */
#define ACCOUNT_KEY_TEXT_MAX (INET6_ADDRSTRLEN + sizeof("/64"))
const char *account_key_format(const AccountKey *key, char buffer[static ACCOUNT_KEY_TEXT_MAX]);

/* Frees some or all of the charged memory: closes the charge or makes it smaller. Returns: false if nothing was freed, because
 * the charge was found to be smaller already. */
typedef bool (*ChargeHandler)(Charge *charge);

/* Embedded in the object that uses the memory, all zero to begin with. */
struct Charge {
        Account *account; /* NULL: the charge is closed */
        AccountOwner *owner;
        ChargeClass class;
        size_t size; /* bytes */
        ChargeHandler give_up;
        uint64_t round; /* the last round of giving up in which it was given up */

        Charge *prev, *next; /* in the list of its class, unless it is 0 */
        Charge *owner_prev, *owner_next; /* in the list of its owner and class */
};

/* @message_id: for the log messages about charges that are given up. Returns: 0 or a negative errno. */
int account_new(sd_event *event, const char *message_id, Account **ret);

/* All charges must have been closed. */
Account *account_free(Account *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Account *, account_free);

/* Sets the total limit in bytes. */
void account_set_max(Account *a, size_t max);
size_t account_max(const Account *a);

size_t account_size(const Account *a);         /* bytes charged now */
uint64_t account_n_given_up(const Account *a); /* charges given up so far */

/* Opens a charge of 0 bytes. @charge must be closed. If memory is short, it is charged to the unknown owner. */
void charge_open(Charge *charge, Account *a, const AccountKey *key, ChargeClass class, ChargeHandler give_up);

/* The same, for the owner of @other, which must be open. */
void charge_open_like(Charge *charge, const Charge *other, ChargeClass class, ChargeHandler give_up);

static inline bool charge_is_open(const Charge *charge) {
        return charge->account;
}

/* For charge_close() and charge_set() only */
void charge_do_close(Charge *charge);
void charge_do_set(Charge *charge, size_t size);

/* Does nothing if the charge is closed. */
static inline void charge_close(Charge *charge) {
        if (charge_is_open(charge))
                charge_do_close(charge);
}

/* Sets the charge to @size bytes. Nothing is given up before the next iteration of the event loop. */
static inline void charge_set(Charge *charge, size_t size) {
        if (size != charge->size)
                charge_do_set(charge, size);
}

/* A connection with fewer unread bytes is not closed to free memory. */
#define CHARGE_TO_BLAME (32U * 1024U)
