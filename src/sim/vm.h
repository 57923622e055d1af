/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "esxi-link.h"
#include "migration.h"
#include "serial-output.h"

/*
 * VM: a virtual machine with one serial port. The guest's output and input are one sequence each, whatever
 * connection they travel over: the one it has now, the next after that was lost, or the one of the host that
 * it has been moved to.
 */
typedef struct Simulation Simulation;

typedef enum VMState {
        VM_WAITING,    /* for its turn to connect */
        VM_RESTING,    /* before it tries again */
        VM_CONNECTING, /* until WILL-PROXY has come and the name has been told */
        VM_CONNECTED,
        VM_GONE,       /* for good */
} VMState;

typedef struct VM {
        Simulation *simulation;
        unsigned number; /* from 0 */
        uint8_t state;   /* VMState */
        bool accepted : 1, named : 1;
        bool dropping : 1;        /* it ends the connection itself */
        bool failed : 1;          /* its last handshake did */
        bool was_early : 1;       /* --notnow-goes-on has been played */
        bool finished : 1;        /* its output has ended and is sent */
        bool hungry : 1;          /* in simulation->hungry, else perhaps in simulation->waiting */
        struct VM *prev, *next;

        unsigned host; /* on which it is, counting round */
        EsxiLink *link;
        Migration *migration; /* NULL: none is going on */
        Timeout timeout;      /* resting, or connecting */
        usec_t since;         /* when it began to connect */

        SerialOutput output;
        GuestProgram *program; /* NULL: no --exec */
        RemoteGuest *remote;   /* NULL: no --serial */
        Buffer input; /* what the program has yet to read */
} VM;

extern const EsxiLinkHandler vm_link_handler;

int vm_init(VM *vm, Simulation *s, unsigned number);
void vm_done(VM *vm);

/* @name: at least ESXI_NAME_MAX bytes. Returns: @name. */
const char *vm_name(const VM *vm, char *name);

void vm_connect(VM *vm);
void vm_handshake_elapsed(Timeout *t);

/* Its connection has ended. Frees the link. */
void vm_disconnected(VM *vm, int error);

/* It lets its connection go, politely. */
void vm_drop(VM *vm);
static inline bool vm_can_be_disturbed(const VM *vm) {
        return vm->state == VM_CONNECTED && !vm->migration && !vm->dropping;
}

/* Moves output to the connection, up to a bound. Returns: whether there may be more to move. */
bool vm_feed(VM *vm);

/* Hands the other connection over: @link is the VM's from here on. */
void vm_switch_link(VM *vm, EsxiLink *link);

/* The migration has ended, one way or the other. */
void vm_migration_ended(VM *vm);
