/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Problems: what is wrong with a configuration, for the log and for whoever has asked, and the doors that stay closed
 * until it is mended.
 *
 * [TLS] says who may come in. Where it is not certain what it says, nobody may: vspcd starts, and refuses all
 * connections at the doors that the key in question guards (config-key.c has the table). A reload that finds such a
 * problem changes nothing. A problem in another section is a warning: the key has its default after a start, and the
 * value that it had after a reload.
 */
typedef enum Doors {
        DOOR_NONE = 0,
        DOOR_VM = 1 << 0,        /* the VM port */
        DOOR_VM_TLS = 1 << 1,    /* TLS at the VM port, and all of it where hosts have to speak TLS or are checked */
        DOOR_ADMIN_TLS = 1 << 2, /* queries in TLS */
        DOOR_ALL = DOOR_VM | DOOR_VM_TLS | DOOR_ADMIN_TLS,
} Doors;

/* The texts of more problems are logged, but not kept. */
#define PROBLEMS_KEPT_MAX 32U

typedef struct Problems {
        char *text[PROBLEMS_KEPT_MAX]; /* sentences without their end, UTF-8 */
        size_t n_kept;                 /* of these */
        size_t n;                      /* of all */
        size_t n_in_tls;               /* of those in [TLS] */
        char *in_tls;                  /* the first of these; NULL: memory was short */
        Doors doors;                   /* that they close */
} Problems;

void problems_done(Problems *p);

/* Both log it. */
void problems_warn(Problems *p, const char *format, ...) _printf_(2, 3);
void problems_doubt(Problems *p, Doors doors, const char *format, ...) _printf_(3, 4);
