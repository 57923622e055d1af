/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mapping.h"

/*
 * WriteQueue: mappings on their way to a backend, and the thread that takes them there. One entry a VM, which holds
 * the latest that is to be written of it. See store.h for its bounds.
 */
typedef struct WriteQueue WriteQueue;

/* Takes over @state, which @backend has opened, unless it fails. Nothing is written before write_queue_start(). */
int write_queue_new(const VspcBackend *backend, void *state, WriteQueue **ret);
int write_queue_start(WriteQueue *q);

/* Waits for what is queued, but not for ever. */
WriteQueue *write_queue_free(WriteQueue *q);
DEFINE_TRIVIAL_CLEANUP_FUNC(WriteQueue *, write_queue_free);

/* Returns: 0 or -ENOMEM. */
int write_queue_put(WriteQueue *q, const Mapping *mapping);
void write_queue_remove(WriteQueue *q, const char *id);

/* Returns: 0, or the negative errno of the last attempt. The descriptor is readable when that has changed. */
int write_queue_error(WriteQueue *q);
int write_queue_news_fd(const WriteQueue *q);
