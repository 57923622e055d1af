/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "buffer.h"

#define BUFFER_ALLOCATION_MIN 256U

uint8_t *buffer_reserve(Buffer *b, size_t n) {
        if (n > buffer_space(b))
                return NULL;

        if (b->allocated - b->begin - b->size >= n && b->memory)
                return b->memory + b->begin + b->size;

        /* Move the queue to the beginning only if at least half of the memory is free: otherwise a long queue
         * would be copied again and again for a few bytes. */
        if (b->memory && b->begin >= b->size && b->allocated - b->size >= n) {
                memmove(b->memory, b->memory + b->begin, b->size);
                b->begin = 0;
                return b->memory + b->size;
        }

        size_t allocated = MAX(b->allocated, (size_t) BUFFER_ALLOCATION_MIN);
        while (allocated < b->size + n)
                allocated *= 2;

        /* Not realloc(): consumed bytes need not be copied. */
        uint8_t *memory = malloc(allocated);
        if (!memory)
                return NULL;

        if (b->size > 0)
                memcpy(memory, b->memory + b->begin, b->size);

        free(b->memory);
        b->memory = memory;
        b->allocated = allocated;
        b->begin = 0;

        return b->memory + b->size;
}

void buffer_commit(Buffer *b, size_t n) {
        assert(b->begin + b->size + n <= b->allocated);

        b->size += n;
        if (b->size == 0)
                buffer_clear(b);
}

int buffer_append(Buffer *b, const void *data, size_t n) {
        if (n == 0)
                return 0;

        if (n > buffer_space(b))
                return -ENOBUFS;

        uint8_t *p = buffer_reserve(b, n);
        if (!p)
                return -ENOMEM;

        memcpy(p, data, n);
        buffer_commit(b, n);

        return 0;
}

void buffer_consume(Buffer *b, size_t n) {
        assert(n <= b->size);

        b->begin += n;
        b->size -= n;
        if (b->size == 0)
                buffer_clear(b);
}

void buffer_clear(Buffer *b) {
        free(b->memory);
        *b = BUFFER_INIT(b->max);
}
