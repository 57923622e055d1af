/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * Buffer: a queue of bytes with an upper bound. An empty buffer owns no memory, so that idle connections cost nothing.
 *
 * A Buffer is embedded in its owner, initialized with BUFFER_INIT(max), and freed with buffer_clear().
 */
typedef struct Buffer {
        uint8_t *memory;
        size_t allocated; /* bytes at memory */
        size_t begin;     /* index of the first queued byte */
        size_t size;      /* number of queued bytes */
        size_t max;       /* upper bound of size */
} Buffer;

#define BUFFER_INIT(m) ((Buffer){.max = (m)})

/* Appends @n bytes. Returns: 0, -ENOBUFS if that would exceed the bound (nothing is appended), -ENOMEM. */
int buffer_append(Buffer *b, const void *data, size_t n);

/* Makes room for @n more bytes. The caller writes there and then calls buffer_commit() with the number of bytes
 * written. Returns: a pointer to the room, or NULL where buffer_append() would fail. */
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
