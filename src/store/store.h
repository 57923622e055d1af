/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"
#include "mapping.h"

/*
 * Store: what outlives a VM's connection, and with another backend than memory the process too: which VM has
 * which port. It restores what was stored when it begins. From then on the concentrator owns the truth, and the
 * store observes it: a thread writes what has changed, so that no disk is ever waited for.
 *
 * What is to be written waits in a queue with at most one entry a VM, its latest state. While the backend fails
 * nothing is given up: it is tried again, at growing intervals, with what is true by then. Only removals are
 * bounded in number (STORE_REMOVALS_MAX): beyond that what is stored of a VM that is gone stays, and expires after
 * the next start.
 */
typedef VspcBackend StoreBackend;

#define STORE_REMOVALS_MAX 65536U

/* Tried again after a second, then after twice as long each time */
#define STORE_RETRY_MAX_SEC 30U

/* After a restart VMs that were connected come back within seconds; who has not by then is stored as gone. */
#define STORE_RETURN_SEC 10U

/* At the end what has not been stored yet has this long. */
#define STORE_STOP_SEC 5U

/* What is written is made to outlive a power cut at most once in this time, all of it together. With what that itself
 * takes, no more than the last two seconds are lost. */
#define STORE_SYNC_USEC USEC_PER_SEC

/* Changes that are written and not synced; with so many of them the next sync comes at once. */
#define STORE_WRITTEN_MAX 65536U

/* Having written all that there was, the thread rests for this long and is not woken by what comes meanwhile:
 * in a storm of thousands of VMs it takes the lock and a processor from the loop two hundred times a second, not
 * for each. */
#define STORE_REST_USEC (5 * USEC_PER_MSEC)

extern const StoreBackend store_memory;
extern const StoreBackend store_file;

/* Tells that store_error() has changed. In the event loop. */
typedef void (*StoreHandler)(void *userdata);

typedef struct Store Store;

/*
 * Opens @backend and restores what is stored. @argument: see VspcBackend.open(). Logs what is wrong. Returns: 0 or a
 * negative errno.
 */
int store_new(const StoreBackend *backend, const char *argument, Concentrator *concentrator, StoreHandler changed,
              void *userdata, Store **ret);

/* To be called before the concentrator goes: that VMs end with it is not to be stored. */
Store *store_free(Store *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Store *, store_free);

/* Returns: 0, or a negative errno while mappings cannot be stored. */
int store_error(Store *s);
