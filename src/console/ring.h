/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/macro.h"

/*
 * Ring: bytes that are stored once and read by any number of cursors: a console's output, or its input.
 *
 * A position is the number of bytes since the creation of the console, and never wraps. The bytes between begin and end can be
 * read: at least the last @keep bytes (the scrollback), and everything that a cursor still needs, up to a total of @keep +
 * @lag_max bytes. Memory is allocated in blocks while there are bytes in them: a VM without output needs none.
 *
 * In addition to cursors, a ring can have one holder, the console log. Bytes from the held position on can be read even if
 * cursors have lost them. lag_max does not apply to the holder, which limits itself.
 *
 * Each block counts the cursors that are in it (also the block that will be allocated next). So whether the oldest block can be
 * freed is known in O(1), with any number of cursors.
 */
#define RING_BLOCK_SIZE 4096U

/* With less, the ring could not take a read while other bytes are still being sent. */
#define RING_LAG_MIN (2 * RING_BLOCK_SIZE)

typedef struct RingSlot {
        uint8_t *block;
        uint32_t cursors; /* number of cursors in it */
} RingSlot;

typedef struct Ring {
        RingSlot *slots; /* block b, from the block of `oldest` to that of `end`, is in slots[b % n_slots] */
        size_t n_slots;  /* a power of two, or 0 while there are neither bytes nor cursors */
        uint64_t oldest; /* a multiple of RING_BLOCK_SIZE; before begin if the holder needs older bytes */
        uint64_t begin;  /* a multiple of RING_BLOCK_SIZE */
        uint64_t end;
        uint64_t keep;
        uint64_t lag_max;
        uint64_t held; /* the holder needs the bytes from here on; UINT64_MAX: there is no holder */
} Ring;

typedef struct RingCursor {
        uint64_t position; /* of the next byte; before begin if bytes have been lost */
        bool released;     /* nothing is kept for it, see ring_release() */
} RingCursor;

void ring_init(Ring *r, uint64_t keep, uint64_t lag_max);
void ring_done(Ring *r);

/* Sets new bounds. The next append or trim drops what exceeds them. */
void ring_set_bounds(Ring *r, uint64_t keep, uint64_t lag_max);

/* Appends @n bytes. The oldest are dropped if the ring would exceed its bound. Returns: 0; or -ENOMEM, and the data, or the rest
 * of it, has not been appended. */
int ring_append(Ring *r, const void *data, size_t n);

/* Holds the bytes from @position on, until the next call. @position must not be before `oldest` or the previous position, unless
 * there was no holder. UINT64_MAX: no holder */
void ring_hold(Ring *r, uint64_t position);

/* Returns: how many bytes can be appended without any further cursor losing bytes. */
size_t ring_space(Ring *r);

/* Frees memory that neither the scrollback nor a cursor needs. */
void ring_trim(Ring *r);

/* For a ring without cursors: drops the bytes before @position, whatever @keep is. */
void ring_drop(Ring *r, uint64_t position);

/* Returns: about the bytes of memory that only cursors need; 0 unless a cursor is behind the scrollback by more than any cursor
 * may be. Must be called after ring_trim(). */
static inline size_t ring_lag(const Ring *r) {
        uint64_t used = r->end - r->begin;

        return used > r->keep + RING_LAG_MIN ? used - r->keep : 0;
}

/* Returns: the position of the last @keep bytes, or of the oldest one if there are fewer. */
uint64_t ring_scrollback(const Ring *r);

/* Points @iov to the bytes from @position on. Returns: the number of pieces, at most @n_max. */
size_t ring_gather(const Ring *r, uint64_t position, struct iovec *iov, size_t n_max);

/* Copies @n bytes from @position on. They must be in the ring. */
void ring_read(const Ring *r, uint64_t position, void *data, size_t n);

/* Adds a cursor at the end. Returns: 0 or -ENOMEM. */
int ring_enter(Ring *r, RingCursor *c);

/* Moves the cursor to @position, which must be between begin and end. */
void ring_move(Ring *r, RingCursor *c, uint64_t position);
void ring_leave(Ring *r, RingCursor *c);

/* Keeps nothing for this cursor any more. Until it is moved, ring_has_lost() is true. */
void ring_release(Ring *r, RingCursor *c);

/* Returns: whether bytes after the cursor's position have been dropped before it has read them. */
static inline bool ring_has_lost(const Ring *r, const RingCursor *c) {
        return c->released || c->position < r->begin;
}
