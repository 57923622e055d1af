/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ring.h"

#define RING_SLOTS_MIN 8U

static RingSlot *ring_slot(const Ring *r, uint64_t position) {
        return &r->slots[position / RING_BLOCK_SIZE & (r->n_slots - 1)];
}

void ring_init(Ring *r, uint64_t keep, uint64_t lag_max) {
        *r = (Ring){.held = UINT64_MAX};
        ring_set_bounds(r, keep, lag_max);
}

void ring_done(Ring *r) {
        for (size_t i = 0; i < r->n_slots; i++)
                free(r->slots[i].block);

        free(r->slots);
        *r = (Ring){};
}

void ring_set_bounds(Ring *r, uint64_t keep, uint64_t lag_max) {
        r->keep = keep;
        r->lag_max = MAX(lag_max, (uint64_t) RING_LAG_MIN);
}

/* Returns: the number of slots from the oldest block to the block of @end. */
static size_t ring_slots_needed(const Ring *r, uint64_t end) {
        return (end - r->oldest) / RING_BLOCK_SIZE + 1;
}

static int ring_resize(Ring *r, size_t n_slots) {
        RingSlot *slots = calloc(n_slots, sizeof(RingSlot));
        if (!slots)
                return -ENOMEM;

        Ring moved = {.slots = slots, .n_slots = n_slots};
        for (uint64_t p = r->oldest; r->n_slots > 0 && p <= r->end; p += RING_BLOCK_SIZE)
                *ring_slot(&moved, p) = *ring_slot(r, p);

        free(r->slots);
        r->slots = slots;
        r->n_slots = n_slots;
        return 0;
}

static int ring_grow(Ring *r, uint64_t end) {
        size_t n_slots = MAX(r->n_slots, (size_t) RING_SLOTS_MIN);

        while (n_slots < ring_slots_needed(r, end))
                n_slots *= 2;

        return n_slots == r->n_slots ? 0 : ring_resize(r, n_slots);
}

/* Frees blocks that neither cursors nor the holder need. */
static void ring_free_oldest(Ring *r) {
        while (r->oldest < r->begin && r->oldest + RING_BLOCK_SIZE <= r->held) {
                RingSlot *slot = ring_slot(r, r->oldest);

                free(slot->block);
                *slot = (RingSlot){};
                r->oldest += RING_BLOCK_SIZE;
        }
}

static void ring_drop_block(Ring *r) {
        ring_slot(r, r->begin)->cursors = 0;
        r->begin += RING_BLOCK_SIZE;
        ring_free_oldest(r);
}

/* Allocates blocks up to @end. */
static int ring_allocate(Ring *r, uint64_t end) {
        int k = ring_grow(r, end);
        if (k < 0)
                return k;

        /* The block of the present end may be missing, see ring_drop(). */
        uint64_t first = r->end / RING_BLOCK_SIZE * RING_BLOCK_SIZE;
        if (ring_slot(r, first)->block)
                first += RING_BLOCK_SIZE;

        for (uint64_t p = first; p < end; p += RING_BLOCK_SIZE) {
                ring_slot(r, p)->block = malloc(RING_BLOCK_SIZE);
                if (ring_slot(r, p)->block)
                        continue;

                for (; p > first; p -= RING_BLOCK_SIZE)
                        free(TAKE_PTR(ring_slot(r, p - RING_BLOCK_SIZE)->block));
                return -ENOMEM;
        }

        return 0;
}

int ring_append(Ring *r, const void *data, size_t n) {
        /* In pieces, so that old blocks are freed before new ones are allocated. */
        while (n > 0) {
                size_t offset = r->end % RING_BLOCK_SIZE;
                size_t k = MIN(n, r->lag_max - offset);
                uint64_t end = r->end + k, bound = r->keep + r->lag_max;

                while (r->begin + RING_BLOCK_SIZE <= r->end && r->begin + RING_BLOCK_SIZE + bound <= end)
                        ring_drop_block(r);

                int error = ring_allocate(r, end);
                if (error < 0)
                        return error;

                while (r->end < end) {
                        offset = r->end % RING_BLOCK_SIZE;
                        size_t part = MIN(RING_BLOCK_SIZE - offset, end - r->end);

                        memcpy(ring_slot(r, r->end)->block + offset, data, part);
                        data = (const uint8_t *) data + part;
                        n -= part;
                        r->end += part;
                }
        }

        return 0;
}

void ring_trim(Ring *r) {
        while (r->begin + RING_BLOCK_SIZE + r->keep <= r->end && ring_slot(r, r->begin)->cursors == 0)
                ring_drop_block(r);

        /* Make the table smaller again after a cursor has lagged. A failure does not matter. */
        if (r->n_slots > RING_SLOTS_MIN && ring_slots_needed(r, r->end) * 4 <= r->n_slots)
                (void) ring_resize(r, r->n_slots / 2);
}

void ring_drop(Ring *r, uint64_t position) {
        while (r->begin + RING_BLOCK_SIZE <= position)
                ring_drop_block(r);

        if (position < r->end || r->oldest < r->begin)
                return;

        if (r->n_slots > 0)
                free(ring_slot(r, r->end)->block);
        free(TAKE_PTR(r->slots));
        r->n_slots = 0;
}

void ring_hold(Ring *r, uint64_t position) {
        r->held = position;
        ring_free_oldest(r);
}

size_t ring_space(Ring *r) {
        ring_trim(r);

        uint64_t bound = r->keep + r->lag_max, used = r->end - r->begin;
        return used < bound ? bound - used : 0;
}

uint64_t ring_scrollback(const Ring *r) {
        return MAX(r->begin, r->end > r->keep ? r->end - r->keep : 0);
}

size_t ring_gather(const Ring *r, uint64_t position, struct iovec *iov, size_t n_max) {
        size_t n = 0;

        assert(position >= r->oldest && position <= r->end);

        for (; position < r->end && n < n_max; n++) {
                size_t offset = position % RING_BLOCK_SIZE;
                size_t part = MIN(RING_BLOCK_SIZE - offset, r->end - position);

                iov[n] = (struct iovec){ring_slot(r, position)->block + offset, part};
                position += part;
        }

        return n;
}

void ring_read(const Ring *r, uint64_t position, void *data, size_t n) {
        assert(position >= r->oldest && position + n <= r->end);

        while (n > 0) {
                size_t offset = position % RING_BLOCK_SIZE;
                size_t part = MIN(RING_BLOCK_SIZE - offset, n);

                data = mempcpy(data, ring_slot(r, position)->block + offset, part);
                position += part;
                n -= part;
        }
}

int ring_enter(Ring *r, RingCursor *c) {
        int k = ring_grow(r, r->end);
        if (k < 0)
                return k;

        *c = (RingCursor){.position = r->end};
        ring_slot(r, c->position)->cursors++;
        return 0;
}

void ring_leave(Ring *r, RingCursor *c) {
        /* If its block has been dropped, the count was dropped with it. */
        if (!ring_has_lost(r, c))
                ring_slot(r, c->position)->cursors--;
}

void ring_move(Ring *r, RingCursor *c, uint64_t position) {
        assert(position >= r->begin && position <= r->end);

        ring_leave(r, c);
        *c = (RingCursor){.position = position};
        ring_slot(r, position)->cursors++;
}

void ring_release(Ring *r, RingCursor *c) {
        ring_leave(r, c);
        c->released = true;
}
