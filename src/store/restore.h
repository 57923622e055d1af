/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"
#include "mapping.h"

/*
 * Restores the VMs that a backend has stored. Each VM is known again, listens at its port, so that clients can
 * connect before the VM does, and expires when it would have expired. If two VMs have the same port, the one stored
 * later keeps it, and the other gets another port.
 */

/* The maximum number of VMs that are restored; further ones are ignored with a warning. All of them are away at
 * first. */
#define RESTORE_MAX CONCENTRATOR_ORPHANS_MAX

typedef void (*RestoreHandler)(Console *console, const Mapping *mapping, void *userdata);

/* Calls @handler for each restored VM. Returns: 0 or a negative errno. */
int restore(Concentrator *c, const VspcBackend *backend, void *state, RestoreHandler handler, void *userdata);
