/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/macro.h"

/*
 * Ring: bytes, written once and read by any number of cursors: a console's output, or what is typed at it.
 *
 * Positions count the bytes since the console came to be and never wrap. What lies between begin and end is
 * there to be read: at least the last @keep bytes (the scrollback), and all that a cursor still needs, up to
 * @keep + @lag_max bytes in all. Memory comes in blocks and only while there is something in them: a VM that
 * has said nothing has none.
 *
 * Besides its cursors a ring can have one holder, the console log. What comes after the position that it holds stays
 * readable, even if cursors cannot go there any more. lag_max does not apply to the holder, which limits itself.
 *
 * Each cursor marks the block it stands in, be it only the one that will come next, so that the oldest block is
 * known to be free or not in O(1), whatever the number of cursors.
 */
#define RING_BLOCK_SIZE 4096U

/* Below this a ring could not take a read and let the other half be sent. */
#define RING_LAG_MIN (2 * RING_BLOCK_SIZE)

typedef struct RingSlot {
        uint8_t *block;
        uint32_t cursors; /* that stand in it */
} RingSlot;

typedef struct Ring {
        RingSlot *slots; /* of block b: slots[b % n_slots], from that of `oldest` to that of `end` */
        size_t n_slots;  /* a power of two, or 0 while there is neither output nor cursor */
        uint64_t oldest; /* a multiple of RING_BLOCK_SIZE; before begin if the holder needs that */
        uint64_t begin;  /* a multiple of RING_BLOCK_SIZE */
        uint64_t end;
        uint64_t keep;
        uint64_t lag_max;
        uint64_t held; /* from where on the holder needs what is there; UINT64_MAX: there is no holder */
} Ring;

typedef struct RingCursor {
        uint64_t position; /* of the next byte to be read; before begin if the ring has gone on without it */
        bool released;     /* the same, though the ring has not gone on yet: see ring_release() */
} RingCursor;

void ring_init(Ring *r, uint64_t keep, uint64_t lag_max);
void ring_done(Ring *r);

/* New bounds; what exceeds them goes with the next append or trim. */
void ring_set_bounds(Ring *r, uint64_t keep, uint64_t lag_max);

/* Appends @n bytes. The oldest go if the ring would exceed its bound. Returns: 0 or -ENOMEM: then the data,
 * or what was left of it, is not in the ring. */
int ring_append(Ring *r, const void *data, size_t n);

/* Keeps what is after @position, until the next call. @position must not be before `oldest` or the previous position, unless
 * there was no holder. UINT64_MAX: no holder */
void ring_hold(Ring *r, uint64_t position);

/* How many bytes can be appended so that no cursor loses any that it has not lost yet. */
size_t ring_space(Ring *r);

/* Gives back the memory that neither the scrollback nor a cursor needs. */
void ring_trim(Ring *r);

/* Gives back the memory of what is before @position: it is not needed, whatever @keep is, and there is no cursor. */
void ring_drop(Ring *r, uint64_t position);

/* Bytes of memory, about, that only cursors need; 0 unless one has fallen behind the scrollback by more than the ring gives
 * every cursor. To be called after ring_trim(). */
static inline size_t ring_lag(const Ring *r) {
        uint64_t used = r->end - r->begin;

        return used > r->keep + RING_LAG_MIN ? used - r->keep : 0;
}

/* Where the last @keep bytes begin, or the oldest if there are fewer. */
uint64_t ring_scrollback(const Ring *r);

/* Points @iov to what can be read from @position. Returns: how many of the @n_max have been used. */
size_t ring_gather(const Ring *r, uint64_t position, struct iovec *iov, size_t n_max);

/* Copies the @n bytes from @position on, which must be there. */
void ring_read(const Ring *r, uint64_t position, void *data, size_t n);

/* A new cursor, at the end. Returns: 0 or -ENOMEM. */
int ring_enter(Ring *r, RingCursor *c);

/* Puts the cursor to @position, between begin and end. */
void ring_move(Ring *r, RingCursor *c, uint64_t position);
void ring_leave(Ring *r, RingCursor *c);

/* Nothing is kept for this cursor any more: it has lost what it has not read, until it is moved. */
void ring_release(Ring *r, RingCursor *c);

/* The ring has gone on without this cursor: the bytes from its position to begin are lost to it. */
static inline bool ring_has_lost(const Ring *r, const RingCursor *c) {
        return c->released || c->position < r->begin;
}
