/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"
#include "mapping.h"

/*
 * Restores what a backend has stored: each VM is known again, listens at the port it had, so that clients may come
 * before it does, and expires when it would have. Of two that claim one port the one stored later has it; the other
 * one gets another.
 */

/* A bound on what is taken from a backend; more are left alone, with a warning. All of them are gone to begin with. */
#define RESTORE_MAX CONCENTRATOR_ORPHANS_MAX

typedef void (*RestoreHandler)(Console *console, const Mapping *mapping, void *userdata);

/* @handler is called for each VM. Returns: 0 or a negative errno. */
int restore(Concentrator *c, const VspcBackend *backend, void *state, RestoreHandler handler, void *userdata);
