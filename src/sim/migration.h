/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "esxi-link.h"

/*
 * Migration: one vMotion of a VM, with the connection of the target host.
 *
 *   BEGUN      the source has sent BEGIN; GOAHEAD or NOTNOW is expected
 *   OPENING    the target connects and sends the sequence and the secret; PEER-OK is expected
 *   ACCEPTED   the VM is paused: the source sends its remaining output, then the target sends COMPLETE
 *
 * Until ACCEPTED, the guest writes to the source.
 */
typedef struct Migration Migration;
typedef struct VM VM;

#define MIGRATION_LIMIT_USEC (5 * USEC_PER_SEC)  /* serialN.vmotionLimit */
#define MIGRATION_PAUSE_USEC (2 * USEC_PER_MSEC)

/* Returns: 0 or a negative errno. vm->migration is set. */
int migration_begin(VM *vm);
/* Sends nothing; the target's connection is closed. */
Migration *migration_free(Migration *m);

/* Handles GOAHEAD, NOTNOW or PEER-OK from any link of @vm, which may have no migration. */
void migration_answer(VM *vm, EsxiLink *link, const VMwareSuboption *s);

/* Identifies the target to the concentrator. */
int migration_introduce(Migration *m);

bool migration_holds_output(const Migration *m);
bool migration_permits_input(const Migration *m, const EsxiLink *link);
void migration_source_writable(Migration *m);

/* @link, source or target, has ended. Returns: whether the VM still has a connection. */
bool migration_survives(Migration *m, EsxiLink *link, int error);

void migration_limit_elapsed(Timeout *t);
void migration_pause_elapsed(Timeout *t);
