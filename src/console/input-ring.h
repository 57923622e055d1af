/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ring.h"

/*
 * InputRing: what clients have typed at a console, written once and read by a cursor for each link: bytes, and breaks
 * between them.
 *
 * It has no memory while all cursors are at its end. A cursor is a plain record: whoever takes a copy of it goes on where
 * the original stands, which must not be used any more then.
 */

/* Bytes that a cursor may be behind; one that is further behind loses the oldest. So it does with breaks. */
#define INPUT_RING_MAX (1024U * 1024U + 64U * 1024U)

/* Breaks that a cursor may be behind; each takes two bytes of what a client sends. */
#define INPUT_BREAKS_MAX 16384U

typedef struct InputRing {
        Ring bytes;

        /* The positions at which breaks are, in their order: that of break i is at breaks[i % INPUT_BREAKS_MAX]. Numbers
         * count since the ring came to be. NULL: no break is waiting. */
        uint64_t *breaks;
        uint64_t first_break, n_breaks;
} InputRing;

typedef struct InputCursor {
        RingCursor bytes;
        uint64_t n_breaks; /* how many breaks are before it */
} InputCursor;

/* A place in the ring, at which a cursor is to stop */
typedef struct InputMark {
        uint64_t position;
        uint64_t n_breaks; /* how many breaks are before it */
} InputMark;

#define INPUT_NO_MARK ((InputMark){UINT64_MAX, UINT64_MAX})

void input_ring_init(InputRing *r);
void input_ring_done(InputRing *r);

/* Appends bytes or a break. Returns: 0, or -ENOMEM and nothing is appended. */
int input_ring_append(InputRing *r, const void *data, size_t n);
int input_ring_append_break(InputRing *r);

/* How many more breaks may be appended so that the cursor loses none. */
size_t input_ring_break_space(const InputRing *r, const InputCursor *c);

/* A new cursor, at the end. Returns: 0 or -ENOMEM. */
int input_ring_enter(InputRing *r, InputCursor *c);
void input_ring_leave(InputRing *r, InputCursor *c);

/* How many bytes are after the cursor, with those that it has lost. */
static inline uint64_t input_ring_lag(const InputRing *r, const InputCursor *c) {
        return r->bytes.end - c->bytes.position;
}

static inline InputMark input_ring_end(const InputRing *r) {
        return (InputMark){r->bytes.end, r->n_breaks};
}

static inline InputMark input_ring_tell(const InputCursor *c) {
        return (InputMark){c->bytes.position, c->n_breaks};
}

/* Whether nothing is between the cursor and @mark, which may also be the end, not even a break. */
bool input_ring_has_reached(const InputRing *r, const InputCursor *c, InputMark mark);

/* Puts the cursor to @mark, which is after it: it does without what is between. */
void input_ring_skip(InputRing *r, InputCursor *c, InputMark mark);

/* If the cursor has lost bytes, puts it to the oldest that are left. Returns: how many it has lost. */
uint64_t input_ring_recover(InputRing *r, InputCursor *c);

/* Whether a break comes next, and before @limit. */
bool input_ring_is_at_break(const InputRing *r, const InputCursor *c, InputMark limit);

/* Points @iov to the bytes from the cursor to the next break, or to @limit if that comes before. Returns: how many of the
 * @n_max have been used. */
size_t input_ring_gather(const InputRing *r, const InputCursor *c, InputMark limit, struct iovec *iov, size_t n_max);

/* How many bytes there are from the cursor to the next break; SIZE_MAX if there is no break before @limit. */
size_t input_ring_to_break(const InputRing *r, const InputCursor *c, InputMark limit);

/* Moves the cursor over @n bytes, which were gathered, or over a break. */
void input_ring_advance(InputRing *r, InputCursor *c, size_t n);
void input_ring_pass_break(const InputRing *r, InputCursor *c);

/* Gives back memory. @behind: the cursor that is furthest behind; NULL: there is no cursor. Returns: bytes that it still
 * takes, about. */
size_t input_ring_trim(InputRing *r, const InputCursor *behind);
