/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "esxi-link.h"

/*
 * Migration: one vMotion of a VM, with the connection of the host that it moves to.
 *
 *   BEGUN      BEGIN has been sent on the source; GOAHEAD or NOTNOW is to come
 *   OPENING    the target connects and presents sequence and secret; PEER-OK is to come
 *   ACCEPTED   the VM is stunned: the source sends what it has, then the target sends COMPLETE
 *
 * The guest goes on writing to the source until ACCEPTED.
 */
typedef struct Migration Migration;
typedef struct VM VM;

#define MIGRATION_LIMIT_USEC (5 * USEC_PER_SEC)  /* serialN.vmotionLimit */
#define MIGRATION_PAUSE_USEC (2 * USEC_PER_MSEC)

/* Returns: 0 or a negative errno. vm->migration is set. */
int migration_begin(VM *vm);
/* Without a word to anybody; the target's connection is closed. */
Migration *migration_free(Migration *m);

/* GOAHEAD, NOTNOW or PEER-OK on any link of @vm, which may have no migration at all. */
void migration_answer(VM *vm, EsxiLink *link, const VMwareSuboption *s);

/* The target says who it is. */
int migration_introduce(Migration *m);

bool migration_holds_output(const Migration *m);
bool migration_permits_input(const Migration *m, const EsxiLink *link);
void migration_source_writable(Migration *m);

/* @link, source or target, has ended. Returns: whether the VM still has a connection. */
bool migration_survives(Migration *m, EsxiLink *link, int error);

void migration_limit_elapsed(Timeout *t);
void migration_pause_elapsed(Timeout *t);
