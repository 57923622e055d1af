/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Problems: the mistakes in a configuration, for the log and for the answer to a reload; and the doors (ways into vspcd) that
 * stay closed until they are corrected.
 *
 * [TLS] and [Access] decide who may connect. If it is unclear what [TLS] says, nobody may: vspcd starts, and refuses all
 * connections at the doors that the key guards (see the table in config-key.c). If it is unclear what [Access] says, clients
 * without a name may do nothing. A reload with such a problem changes nothing. A problem in another section is only a warning:
 * at a start the key keeps its default, at a reload its previous value.
 */
typedef enum Doors {
        DOOR_NONE = 0,
        DOOR_VM = 1 << 0,        /* the VM port */
        DOOR_VM_TLS = 1 << 1,    /* TLS at the VM port; and the whole port if hosts must use TLS or are checked */
        DOOR_ADMIN_TLS = 1 << 2, /* the admin socket with TLS */
        DOOR_ANONYMOUS = 1 << 3, /* clients without a name, see rights.h */
        DOOR_ALL = DOOR_VM | DOOR_VM_TLS | DOOR_ADMIN_TLS, /* that [TLS] guards */
        DOOR_EVERY = DOOR_ALL | DOOR_ANONYMOUS,
} Doors;

/* The texts of further problems are logged, but not kept. */
#define PROBLEMS_KEPT_MAX 32U

typedef struct Problems {
        char *text[PROBLEMS_KEPT_MAX]; /* sentences without a full stop, sanitized */
        size_t n_kept;                 /* number of texts */
        size_t n;                      /* number of all problems */
        size_t n_doubts;               /* number of problems by which a reload changes nothing: in [TLS] and [Access] */
        char *doubt;                   /* the first of these; NULL: there is none, or memory was short */
        Doors doors;                   /* that stay closed */
} Problems;

void problems_done(Problems *p);

/* Add a problem and log it: a warning; and an error that leaves in doubt who may connect, which closes @doors. */
void problems_warn(Problems *p, const char *format, ...) _printf_(2, 3);
void problems_doubt(Problems *p, Doors doors, const char *format, ...) _printf_(3, 4);
