/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "heap.h"

#define ALLOCATED_MIN 64U

static void heap_put(Heap *h, HeapNode *node, size_t i) {
        h->nodes[i] = node;
        node->place = i + 1;
}

/* Puts @node at the free index @i, or further up, and moves nodes down that come after it. */
static void heap_rise(Heap *h, HeapNode *node, size_t i) {
        while (i > 0 && h->precedes(node, h->nodes[(i - 1) / 2])) {
                heap_put(h, h->nodes[(i - 1) / 2], i);
                i = (i - 1) / 2;
        }

        heap_put(h, node, i);
}

/* Makes the index @i, or one further down, free for @node by moving nodes up that come before it. Returns: the
 * free index. */
static size_t heap_sink(Heap *h, const HeapNode *node, size_t i) {
        for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
                if (child + 1 < h->n && h->precedes(h->nodes[child + 1], h->nodes[child]))
                        child++;
                if (!h->precedes(h->nodes[child], node))
                        break;

                heap_put(h, h->nodes[child], i);
        }

        return i;
}

void heap_init(Heap *h, HeapOrder precedes) {
        *h = (Heap){.precedes = precedes};
}

void heap_done(Heap *h) {
        free(h->nodes);
        *h = (Heap){};
}

int heap_add(Heap *h, HeapNode *node) {
        assert(node->place == 0);

        if (h->n == h->n_allocated) {
                size_t allocated = MAX(2 * h->n_allocated, (size_t) ALLOCATED_MIN);
                HeapNode **grown = reallocarray(h->nodes, allocated, sizeof(HeapNode *));
                if (!grown)
                        return -ENOMEM;

                h->nodes = grown;
                h->n_allocated = allocated;
        }

        heap_rise(h, node, h->n++);
        return 0;
}

void heap_remove(Heap *h, HeapNode *node) {
        if (node->place == 0)
                return;

        size_t i = TAKE(node->place, 0) - 1;
        HeapNode *last = h->nodes[--h->n];

        if (last != node)
                heap_rise(h, last, heap_sink(h, last, i));
}
