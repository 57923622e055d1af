/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "console/console.h"
#include "transport/user-names.h"

/* What a method is told besides the VM */
typedef struct BusArguments {
        AccessMode access;
        uint64_t flags;   /* of Attach(), see bus-action.h */
        uint64_t client;  /* the number of one */
        const char *text; /* in the message */
        bool force;       /* to take over */
} BusArguments;

/*
 * BusCall: a method call that not everybody may make, from its coming until it is answered. The bus is asked
 * who the caller is; whoever has the right (rights.h) may, and of anybody else polkit is asked. Both take their time, and a
 * person may have to type a password: meanwhile the VM may go, and so may the caller.
 *
 * While not all local users may list all VMs, only those may call who may do everything, and polkit is not asked.
 */

/* The maximum of waiting calls, in total and of one connection */
#define BUS_CALLS_MAX 1024U
#define BUS_CALLS_PER_CALLER_MAX 256U

/* Of these, calls about which polkit is asked, in total and of one user. Each needs a match rule; dbus-daemon allows a
 * connection 512. */
#define BUS_CHECKS_MAX 256U
#define BUS_CHECKS_PER_USER_MAX 64U

/* How long polkit may take to answer without asking a person, and with */
#define BUS_CALL_POLKIT_USEC (10 * USEC_PER_SEC)
#define BUS_CALL_PERSON_USEC (120 * USEC_PER_SEC)

typedef struct Bus Bus;
typedef struct BusAction BusAction;
typedef struct BusCall BusCall;

struct BusAction {
        const char *polkit; /* what polkit calls it; NULL: it is for those who may do everything */
        Act act;            /* whoever has the right to that needs no polkit, and that right polkit grants */

        /* Whether the caller needs no polkit, if that does not depend on the right alone; or NULL */
        bool (*is_permitted)(const BusCall *call, Console *console);

        /* Does and answers it. Returns: >= 0, or a negative errno, which is answered then. */
        int (*carry_out)(const BusCall *call, Console *console); /* @console: NULL if it is about no VM */
};

struct BusCall {
        Bus *bus;
        const BusAction *action;
        sd_bus_message *message;
        BusArguments arguments;
        char *id;  /* the VM's; NULL: it is about none */
        Peer peer; /* of the caller, once it is known */
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

/* Has @action, which is about no VM, carried out for those who may do everything. */
int bus_guard(Bus *b, sd_bus_message *message, const BusAction *action);
void bus_calls_clear(Bus *b);
