/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <utlist.h>

#include "account.h"
#include "basic/hash-table.h"
#include "basic/log.h"
#include "basic/timeout-queue.h"

enum {
        KEY_UNKNOWN,
        KEY_USER,
        KEY_IPV4,
        KEY_IPV6,
};

struct AccountOwner {
        UT_hash_handle handle; /* by key */
        AccountKey key;
        unsigned n_open; /* charges, and calls that use the owner at present */
        size_t size;     /* bytes charged */
        Charge *charges[_CHARGE_CLASS_MAX]; /* utlist, see charge_enlist() */
        bool over;                     /* is in account->over */
        AccountOwner *prev, *next;
};

struct Account {
        sd_event *event;
        sd_event_source *giving_up; /* enabled while something may have to be given up */
        const char *message_id;
        size_t max;
        size_t size;
        uint64_t n_given_up;
        AccountOwner *owners; /* hash table by key */
        AccountOwner unknown; /* the owner with the key of zeros; it is in no table */
        AccountOwner *over;   /* utlist: owners with a charge that has grown beyond their share */
        Charge *charges[_CHARGE_CLASS_MAX]; /* utlist, the oldest first */
        uint64_t round;
        RateLimit log;
};

AccountKey account_key_of_user(uid_t uid) {
        AccountKey key = {.kind = KEY_USER};

        memcpy(key.id, &uid, sizeof uid);
        return key;
}

static AccountKey key_of_ipv4(const void *address) {
        AccountKey key = {.kind = KEY_IPV4};

        memcpy(key.id, address, sizeof(struct in_addr));
        if (key.id[0] == IN_LOOPBACKNET)
                memcpy(key.id, (uint8_t[]){IN_LOOPBACKNET, 0, 0, 1}, sizeof(struct in_addr));
        return key;
}

AccountKey account_key_of_address(const SocketAddress *address) {
        const struct in6_addr *in6 = &address->in6.sin6_addr;
        AccountKey key = {.kind = KEY_IPV6};

        if (address->any.sa_family == AF_INET)
                return key_of_ipv4(&address->in.sin_addr);
        if (address->any.sa_family != AF_INET6)
                return (AccountKey){.kind = KEY_UNKNOWN};
        if (IN6_IS_ADDR_V4MAPPED(in6))
                return key_of_ipv4(&in6->s6_addr[12]);
        if (IN6_IS_ADDR_LOOPBACK(in6))
                return key_of_ipv4((uint8_t[]){IN_LOOPBACKNET, 0, 0, 1});

        memcpy(key.id, in6, sizeof key.id);
        return key;
}

const char *account_key_format(const AccountKey *key, char buffer[static ACCOUNT_KEY_TEXT_MAX]) {
        struct in6_addr in6 = {};
        uid_t uid;

        switch (key->kind) {

        case KEY_USER:
                memcpy(&uid, key->id, sizeof uid);
                snprintf(buffer, ACCOUNT_KEY_TEXT_MAX, "uid %u", uid);
                break;

        case KEY_IPV4:
                inet_ntop(AF_INET, key->id, buffer, ACCOUNT_KEY_TEXT_MAX);
                break;

        case KEY_IPV6:
                memcpy(&in6, key->id, sizeof key->id);
                inet_ntop(AF_INET6, &in6, buffer, ACCOUNT_KEY_TEXT_MAX);
                strcat(buffer, "/64");
                break;

        default:
                strcpy(buffer, "somebody unknown");
        }

        return buffer;
}

static AccountOwner *account_find_owner(Account *a, const AccountKey *key) {
        AccountOwner *o;

        if (key->kind == KEY_UNKNOWN)
                return &a->unknown;

        HASH_FIND(handle, a->owners, key, sizeof *key, o);
        if (o)
                return o;

        o = calloc(1, sizeof(AccountOwner));
        if (!o)
                return &a->unknown;

        o->key = *key;
        if (HASH_TRY_ADD(handle, a->owners, &o->key, sizeof o->key, o) < 0) {
                free(o);
                return &a->unknown;
        }

        return o;
}

static void account_release_owner(Account *a, AccountOwner *o) {
        if (--o->n_open > 0 || o == &a->unknown)
                return;

        assert(o->size == 0);
        if (o->over)
                DL_DELETE(a->over, o);
        HASH_REMOVE(handle, a->owners, o);
        free(o);
}

static size_t owner_share(const Account *a, const AccountOwner *o) {
        size_t others = a->size - o->size;

        return MAX(a->max / ACCOUNT_OWNERS, others < a->max ? (a->max - others) / 2 : 0);
}

static bool owner_is_over(const Account *a, const AccountOwner *o) {
        return o->size > owner_share(a, o);
}

/* Each list is in the order of giving up: the oldest charge first; for CHARGE_CONNECTION, the newest first. */
static void charge_enlist(Charge *charge) {
        Charge **all = &charge->account->charges[charge->class], **of_owner = &charge->owner->charges[charge->class];

        if (charge->class == CHARGE_CONNECTION) {
                DL_PREPEND(*all, charge);
                DL_PREPEND2(*of_owner, charge, owner_prev, owner_next);
        } else {
                DL_APPEND(*all, charge);
                DL_APPEND2(*of_owner, charge, owner_prev, owner_next);
        }
}

static void charge_delist(Charge *charge) {
        DL_DELETE(charge->account->charges[charge->class], charge);
        DL_DELETE2(charge->owner->charges[charge->class], charge, owner_prev, owner_next);
}

/* Returns: the next charge to give up; NULL if all have been given up in this round (those that remain are at the end). */
static Charge *charges_first(Charge *const charges[static _CHARGE_CLASS_MAX], uint64_t round) {
        for (ChargeClass class = 0; class < _CHARGE_CLASS_MAX; class++)
                if (charges[class] && charges[class]->round != round)
                        return charges[class];

        return NULL;
}

/* Logs one line for all charges given up, at most every LOG_RATE_LIMIT_USEC. @sizes: bytes charged to the owner, and
 * in all, before */
static void account_log(Account *a, const AccountOwner *o, ChargeClass class, const size_t sizes[static 2], bool is_share) {
        static const char *const what[_CHARGE_CLASS_MAX] = {
                [CHARGE_CLOSING] = "closing a connection that has ended, before its last messages were read",
                [CHARGE_UNIDENTIFIED] = "closing the connection that has gone longest without saying which VM it is",
                [CHARGE_QUERY] = "closing the admin connection that has gone longest without reading its answers",
                [CHARGE_INPUT] = "the VM that has taken no input for longest loses what was typed",
                [CHARGE_LAG] = "the client that has lagged for longest loses the output that is kept for it",
                [CHARGE_CLIENT] = "disconnecting the client that has gone longest without reading its output",
                [CHARGE_CONNECTION] = "closing the newest connection",
        };
        const LogFields fields = {.message_id = a->message_id};
        char owner[ACCOUNT_KEY_TEXT_MAX], others[64] = "";
        unsigned n = log_rate_limit_pass(&a->log, event_now(a->event));

        if (n == 0)
                return;
        if (n > 1)
                snprintf(others, sizeof others, " (the last of %u that were given up)", n);

        account_key_format(&o->key, owner);
        if (is_share)
                log_full(LOG_WARNING, 0, &fields, "%s uses %zu KiB of memory, and may use %zu KiB: %s%s", owner,
                         sizes[0] / 1024, owner_share(a, o) / 1024, what[class], others);
        else
                log_full(LOG_WARNING, 0, &fields,
                         "All connections use %zu KiB of memory, and may use %zu KiB: %s, of %s, which uses %zu KiB%s",
                         sizes[1] / 1024, a->max / 1024, what[class], owner, sizes[0] / 1024, others);
}

static void account_give_up(Account *a, Charge *charge, bool is_share) {
        const size_t sizes[] = {charge->owner->size, a->size};
        AccountOwner *o = charge->owner;
        ChargeClass class = charge->class;

        o->n_open++; /* keeps the owner while its last charge is given up */
        charge->round = a->round;

        /* Moves the charge to the end, so that it is not found again if a part of it remains. */
        charge_delist(charge);
        DL_APPEND(a->charges[charge->class], charge);
        DL_APPEND2(charge->owner->charges[charge->class], charge, owner_prev, owner_next);
        if (charge->give_up(charge)) {
                a->n_given_up++;
                account_log(a, o, class, sizes, is_share);
        }
        account_release_owner(a, o);
}

static void owner_give_up(Account *a, AccountOwner *o) {
        Charge *charge;

        while (owner_is_over(a, o) && (charge = charges_first(o->charges, a->round)))
                account_give_up(a, charge, true);
}

static int on_giving_up(_unused_ sd_event_source *source, void *userdata) {
        Account *a = userdata;
        AccountOwner *o;
        Charge *charge;

        a->round++;
        while ((o = a->over)) {
                o->n_open++;
                owner_give_up(a, o);
                DL_DELETE(a->over, o);
                o->over = false;
                account_release_owner(a, o);
        }

        while (a->size > a->max && (charge = charges_first(a->charges, a->round)))
                account_give_up(a, charge, false);

        return 0;
}

int account_new(sd_event *event, const char *message_id, Account **ret) {
        _cleanup_(account_freep) Account *a = calloc(1, sizeof(Account));
        if (!a)
                return -ENOMEM;

        a->event = sd_event_ref(event);
        a->message_id = message_id;
        a->max = ACCOUNT_MAX_DEFAULT;

        int r = sd_event_add_defer(event, &a->giving_up, on_giving_up, a);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(a->giving_up, SD_EVENT_OFF);

        *ret = TAKE_PTR(a);
        return 0;
}

Account *account_free(Account *a) {
        assert(!a->owners && a->unknown.n_open == 0 && a->size == 0);

        sd_event_source_disable_unref(a->giving_up);
        sd_event_unref(a->event);
        free(a);
        return NULL;
}

void account_set_max(Account *a, size_t max) {
        a->max = max;
        if (a->size > max)
                (void) sd_event_source_set_enabled(a->giving_up, SD_EVENT_ONESHOT);
}

size_t account_max(const Account *a) {
        return a->max;
}

size_t account_size(const Account *a) {
        return a->size;
}

uint64_t account_n_given_up(const Account *a) {
        return a->n_given_up;
}

static void charge_open_for(Charge *charge, Account *a, AccountOwner *o, ChargeClass class, ChargeHandler give_up) {
        assert(!charge_is_open(charge));

        *charge = (Charge){.account = a, .owner = o, .class = class, .give_up = give_up};
        o->n_open++;
}

void charge_open(Charge *charge, Account *a, const AccountKey *key, ChargeClass class, ChargeHandler give_up) {
        charge_open_for(charge, a, account_find_owner(a, key), class, give_up);
}

void charge_open_like(Charge *charge, const Charge *other, ChargeClass class, ChargeHandler give_up) {
        charge_open_for(charge, other->account, other->owner, class, give_up);
}

void charge_do_close(Charge *charge) {
        Account *a = charge->account;

        charge_set(charge, 0);
        charge->account = NULL;
        account_release_owner(a, TAKE_PTR(charge->owner));
}

void charge_do_set(Charge *charge, size_t size) {
        Account *a = charge->account;
        AccountOwner *o = charge->owner;
        size_t before = charge->size;

        charge->size = size;
        a->size += size - before;
        o->size += size - before;

        if (before == 0)
                charge_enlist(charge);
        else if (size == 0)
                charge_delist(charge);
        if (size <= before)
                return;

        if (!o->over && owner_is_over(a, o)) {
                o->over = true;
                DL_APPEND(a->over, o);
        }
        if (o->over || a->size > a->max)
                (void) sd_event_source_set_enabled(a->giving_up, SD_EVENT_ONESHOT);
}
