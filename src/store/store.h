/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"
#include "mapping.h"

/*
 * Store: stores VMs and their ports in a backend, so that VMs keep their ports across restarts. It first restores the
 * stored VMs. After that, only the concentrator decides about ports, and the store observes it: a thread writes the
 * changes, so that the event loop never waits for a disk.
 *
 * Changes wait in a queue with at most one entry for each VM, its latest state. If the backend fails, nothing is
 * dropped: writing is tried again at growing intervals, with the values of that time. Only the number of waiting
 * removals is limited (STORE_REMOVALS_MAX): beyond that, the entry of a removed VM stays stored and expires after the
 * next start.
 */
typedef VspcBackend StoreBackend;

#define STORE_REMOVALS_MAX 65536U

/* After an error, writing is tried again after one second, then after twice as long each time, up to this. */
#define STORE_RETRY_MAX_SEC 30U

/* After a restart, VMs that were connected reconnect within seconds. A VM that has not done so after this time is
 * stored as away. */
#define STORE_RETURN_SEC 10U

/* When vspcd exits, the remaining changes must be stored within this time. */
#define STORE_STOP_SEC 5U

/* The minimum time between two calls of sync(). Together with the duration of the call, a power cut loses at most
 * the last two seconds. */
#define STORE_SYNC_USEC USEC_PER_SEC

/* After this number of changes, sync() is called at once. */
#define STORE_WRITTEN_MAX 65536U

/* After it has written everything, the thread sleeps for this time. When thousands of VMs change, it takes the
 * lock and a processor from the event loop 200 times in a second at most, and not for each VM. */
#define STORE_BATCH_PAUSE_USEC (5 * USEC_PER_MSEC)

extern const StoreBackend store_memory;
extern const StoreBackend store_file;

/* Called in the event loop when store_error() has changed. */
typedef void (*StoreHandler)(void *userdata);

typedef struct Store Store;

/*
 * Opens @backend and restores the stored VMs. @argument: see VspcBackend.open(). Errors are logged. Returns: 0 or a
 * negative errno.
 */
int store_new(const StoreBackend *backend, const char *argument, Concentrator *concentrator, StoreHandler changed,
              void *userdata, Store **ret);

/* Must be called before the concentrator is freed: this must not be stored. */
Store *store_free(Store *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Store *, store_free);

/* Returns: 0, or a negative errno while mappings cannot be stored. */
int store_error(Store *s);
