/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * Buffer: a queue of bytes with an upper bound. It owns no memory while it is empty, so that an idle
 * connection costs nothing for the data it does not have.
 *
 * Embedded in its owner: BUFFER_INIT(max) to begin with, buffer_clear() to end with.
 */
typedef struct Buffer {
        uint8_t *memory;
        size_t allocated; /* bytes at memory */
        size_t begin;     /* the first byte that is still queued */
        size_t size;      /* bytes queued from there */
        size_t max;       /* bound of size */
} Buffer;

#define BUFFER_INIT(m) ((Buffer){.max = (m)})

/* Appends @n bytes. Returns: 0, -ENOBUFS if that would exceed the bound (nothing is appended), -ENOMEM. */
int buffer_append(Buffer *b, const void *data, size_t n);

/* Makes room for @n more bytes and returns where they go (to be followed by buffer_commit() with what was
 * really used), or NULL where buffer_append() would have failed. */
uint8_t *buffer_reserve(Buffer *b, size_t n);
void buffer_commit(Buffer *b, size_t n);

/* Removes the first @n bytes. */
void buffer_consume(Buffer *b, size_t n);
void buffer_clear(Buffer *b);

static inline const uint8_t *buffer_data(const Buffer *b) {
        return b->memory ? b->memory + b->begin : NULL;
}

static inline size_t buffer_space(const Buffer *b) {
        return b->max - b->size;
}
