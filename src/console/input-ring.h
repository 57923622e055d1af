/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ring.h"

/*
 * InputRing: what clients have typed at a console, written once and read by each link on its own: bytes, and breaks between
 * them. A reader is a mark, a plain record without pointers: whoever takes a copy of it goes on where the original stands.
 *
 * It has no memory while all readers are at its end.
 */

/* Bytes that a reader may be behind; one that is further behind loses the oldest. So it does with breaks. */
#define INPUT_RING_MAX (1024U * 1024U + 64U * 1024U)

/* Breaks that a reader may be behind; each takes two bytes of what a client sends. */
#define INPUT_BREAKS_MAX 16384U

typedef struct InputRing {
        Ring bytes; /* without cursors: the readers are not known to it */

        /* The positions at which breaks are, in their order: that of break i is at breaks[i % INPUT_BREAKS_MAX]. Numbers
         * count since the ring came to be. NULL: no break is waiting. */
        uint64_t *breaks;
        uint64_t first_break, n_breaks;
} InputRing;

/* A place in the ring. Breaks may lie at the same position, and it may be between two of them. */
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

static inline InputMark input_ring_end(const InputRing *r) {
        return (InputMark){r->bytes.end, r->n_breaks};
}

/* How many bytes are after @m, with those that are lost to it. */
static inline uint64_t input_ring_lag(const InputRing *r, const InputMark *m) {
        return r->bytes.end - m->position;
}

/* How many more breaks may be appended so that @m loses none. */
size_t input_ring_break_space(const InputRing *r, const InputMark *m);

/* Whether nothing is between @m and @limit, or the end if that comes before, not even a break. */
bool input_ring_has_reached(const InputRing *r, const InputMark *m, InputMark limit);

/* If bytes after @m are lost, moves it to the oldest that are left. Returns: how many are lost. */
uint64_t input_ring_recover(const InputRing *r, InputMark *m);

/* How many bytes there are from @m to the next break; SIZE_MAX if there is no break before @limit. */
size_t input_ring_to_break(const InputRing *r, const InputMark *m, InputMark limit);

/* Points @iov to the bytes from @m to the next break, or to @limit if that comes before. Returns: how many of the @n_max have
 * been used. */
size_t input_ring_gather(const InputRing *r, const InputMark *m, InputMark limit, struct iovec *iov, size_t n_max);

/* Moves @m over a break, which is next. Over bytes its owner moves it. */
void input_ring_pass_break(const InputRing *r, InputMark *m);

/* Gives back memory. @behind: the reader that is furthest behind; NULL: there is none. Returns: bytes that it still takes,
 * about. */
size_t input_ring_trim(InputRing *r, const InputMark *behind);
