/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "esxi-link.h"
#include "migration.h"
#include "serial-output.h"

/*
 * VM: a simulated virtual machine with one serial port. The guest's output and input are each one sequence of bytes,
 * which continues on a new connection after a connection was lost or the VM has moved to another host.
 */
typedef struct Simulation Simulation;

typedef enum VMState {
        VM_WAITING,    /* until it is its turn to connect */
        VM_BACKOFF,    /* pause before it connects again */
        VM_CONNECTING, /* until WILL-PROXY was received and the name was sent */
        VM_CONNECTED,
        VM_GONE,       /* will not connect again */
} VMState;

typedef struct VM {
        Simulation *simulation;
        unsigned number; /* from 0 */
        uint8_t state;   /* VMState */
        bool accepted : 1, named : 1;
        bool dropping : 1;        /* it is closing its connection */
        bool failed : 1;          /* its last handshake has failed */
        bool was_early : 1;       /* the early BEGIN of --notnow-goes-on was sent */
        bool finished : 1;        /* its output has ended and was sent */
        bool hungry : 1;          /* in simulation->hungry; otherwise it may be in simulation->waiting */
        struct VM *prev, *next;

        unsigned host; /* number of its host, modulo the number of hosts */
        EsxiLink *link;
        Migration *migration; /* NULL: none is going on */
        Timeout timeout;      /* backoff, or connecting */
        usec_t since_usec;    /* when it began to connect */

        SerialOutput output;
        GuestProgram *program; /* NULL: no --exec */
        RemoteGuest *remote;   /* NULL: no --serial */
        Buffer input; /* not yet read by the program */
} VM;

extern const EsxiLinkHandler vm_link_handler;

int vm_init(VM *vm, Simulation *s, unsigned number);
void vm_done(VM *vm);

/* @name: at least ESXI_NAME_MAX bytes. Returns: @name. */
const char *vm_name(const VM *vm, char *name);

void vm_connect(VM *vm);
void vm_handshake_elapsed(Timeout *t);

/* Called when the VM's connection has ended. Frees the link. */
void vm_disconnected(VM *vm, int error);

/* Closes the VM's connection politely. */
void vm_drop(VM *vm);
static inline bool vm_can_be_disturbed(const VM *vm) {
        return vm->state == VM_CONNECTED && !vm->migration && !vm->dropping;
}

/* Passes output to the connection, up to a bound. Returns: whether there may be more. */
bool vm_feed(VM *vm);

/* Makes @link the VM's connection. */
void vm_switch_link(VM *vm, EsxiLink *link);

/* Called when the migration was completed or has failed. */
void vm_migration_ended(VM *vm);
