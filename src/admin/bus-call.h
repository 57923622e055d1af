/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "console/console.h"
#include "transport/user-names.h"

/* The arguments of a method, without the VM */
typedef struct BusArguments {
        AccessMode access;
        uint64_t flags;   /* of Attach(), see bus-action.h */
        uint64_t client;  /* the number of one */
        const char *text; /* in the message */
        bool force;       /* to take over */
} BusArguments;

/*
 * BusCall: a method call that needs a right, from its arrival until it is answered. The bus is asked who the caller is. If the
 * caller does not have the right (rights.h), polkit is asked. This may take long, because a person may have to type a password.
 * In the meantime, the VM may be forgotten, and the caller may disconnect.
 *
 * While not all local users may list all VMs, only people who may do everything may call, and polkit is not asked.
 */

/* The maximum of waiting calls, in total and of one connection */
#define BUS_CALLS_MAX 1024U
#define BUS_CALLS_PER_CALLER_MAX 256U

/* The maximum of these that wait for polkit, in total and of one user. Each needs a match rule, and dbus-daemon allows 512 for a
 * connection. */
#define BUS_CHECKS_MAX 256U
#define BUS_CHECKS_PER_USER_MAX 64U

/* The time limits for polkit's answer without and with a dialog */
#define BUS_CALL_POLKIT_USEC (10 * USEC_PER_SEC)
#define BUS_CALL_PERSON_USEC (120 * USEC_PER_SEC)

typedef struct Bus Bus;
typedef struct BusAction BusAction;
typedef struct BusCall BusCall;

struct BusAction {
        const char *polkit; /* the action in polkit; NULL: only for people who may do everything */
        Act act;            /* what the caller needs a right to, unless polkit allows it */

        /* Returns: whether the caller does not need polkit. NULL: that depends on `act` alone */
        bool (*is_permitted)(const BusCall *call, Console *console);

        /* Executes the call and answers it. @console: NULL if the call is not about a VM. Returns: >= 0; or a negative errno,
         * which is answered. */
        int (*carry_out)(const BusCall *call, Console *console);
};

struct BusCall {
        Bus *bus;
        const BusAction *action;
        sd_bus_message *message;
        BusArguments arguments;
        char *id;  /* of the VM; NULL: the call is not about a VM */
        Peer peer; /* the caller, once the bus has answered */
        UserNameQuery user_name;

        sd_bus_slot *answer;    /* the answer that the call waits for: of the bus, or of polkit */
        sd_bus_slot *departure; /* notices that the caller disconnects */
        bool asking_polkit;
        char cancellation[sizeof("18446744073709551615")]; /* identifies the question to polkit */
        BusCall *prev, *next;
};

typedef struct BusCalls {
        BusCall *first; /* utlist */
        unsigned n;
        uint64_t n_ever;
} BusCalls;

/* Carries out @action on @console later, if the caller is permitted to. Returns: 1 or a negative errno. */
int bus_call(Bus *b, sd_bus_message *message, const Console *console, const BusAction *action,
             const BusArguments *arguments);

/* Carries out @action, which is not about a VM, later, if the caller may do everything. Returns: 1 or a negative errno. */
int bus_guard(Bus *b, sd_bus_message *message, const BusAction *action);
void bus_calls_clear(Bus *b);
