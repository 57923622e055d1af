/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mapping.h"

/*
 * WriteQueue: the queue of changes for a backend, and the thread that writes them. There is one entry for each
 * changed VM, with its latest state. store.h has its bounds.
 */
typedef struct WriteQueue WriteQueue;

/* Takes over @state, which @backend has opened, if it succeeds. Nothing is written before write_queue_start(). */
int write_queue_new(const VspcBackend *backend, void *state, WriteQueue **ret);
int write_queue_start(WriteQueue *q);

/* Waits until the queue has been written, for STORE_STOP_SEC at most. */
WriteQueue *write_queue_free(WriteQueue *q);
DEFINE_TRIVIAL_CLEANUP_FUNC(WriteQueue *, write_queue_free);

/* Returns: 0 or -ENOMEM. */
int write_queue_put(WriteQueue *q, const Mapping *mapping);
void write_queue_remove(WriteQueue *q, const char *id);

/* Returns: 0, or the negative errno of the last attempt. write_queue_news_fd() is readable when this has changed. */
int write_queue_error(WriteQueue *q);
int write_queue_news_fd(const WriteQueue *q);
