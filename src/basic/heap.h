/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * Heap: a priority queue. Finding the first element takes O(1), adding and removing any element O(log n).
 *
 * A HeapNode is embedded in the element and must be removed before the element is freed. The values that HeapOrder
 * compares must not change while the element is in the heap.
 */
typedef struct HeapNode {
        size_t place; /* index in Heap.nodes plus 1; 0: not in a heap */
} HeapNode;

/* Returns: whether @a comes before @b. */
typedef bool (*HeapOrder)(const HeapNode *a, const HeapNode *b);

typedef struct Heap {
        HeapOrder precedes;
        HeapNode **nodes; /* the two children of the node at index i are at 2i + 1 and 2i + 2 */
        size_t n, n_allocated;
} Heap;

void heap_init(Heap *h, HeapOrder precedes);

/* Frees the heap's memory. Elements that are still in it must not be used with a heap again. */
void heap_done(Heap *h);

/* Returns: 0; or -ENOMEM, and @node is not in the heap. */
int heap_add(Heap *h, HeapNode *node);

/* Does nothing if @node is not in a heap. */
void heap_remove(Heap *h, HeapNode *node);

/* Returns: NULL if the heap is empty. */
static inline HeapNode *heap_first(const Heap *h) {
        return h->n > 0 ? h->nodes[0] : NULL;
}
