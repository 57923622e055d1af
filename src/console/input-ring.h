/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ring.h"

/*
 * InputRing: what clients have typed at a console: bytes, and breaks between them. It is written once, and each link reads it
 * on its own. A reader is a mark, a plain record without pointers; a copy of a mark goes on where the original stands. The
 * ring has no memory while all readers are at its end.
 */

/* Bytes that are kept for readers; the oldest are lost to a reader that is further behind. The same is true of breaks. */
#define INPUT_RING_MAX (1024U * 1024U + 64U * 1024U)

/* Breaks that are kept; each takes two bytes of what a client sends. */
#define INPUT_BREAKS_MAX 16384U

typedef struct InputRing {
        Ring bytes; /* without cursors: the readers are not known to it */

        /* The positions at which breaks are, in their order: that of break i is at breaks[i % INPUT_BREAKS_MAX]. Numbers
         * count since the ring came to be. NULL: no break is waiting. */
        uint64_t *breaks;
        uint64_t first_break, n_breaks;
} InputRing;

/* A place in the ring. It may be between two breaks at the same position. */
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

/* The number of bytes after @m, including those that are lost to it */
static inline uint64_t input_ring_lag(const InputRing *r, const InputMark *m) {
        return r->bytes.end - m->position;
}

/* How many more breaks may be appended so that @m loses none. */
size_t input_ring_break_space(const InputRing *r, const InputMark *m);

/* Whether neither bytes nor breaks are between @m and @limit, or the end if that comes first */
bool input_ring_has_reached(const InputRing *r, const InputMark *m, InputMark limit);

/* If bytes after @m are lost, moves it to the oldest that are left. Returns: how many are lost. */
uint64_t input_ring_recover(const InputRing *r, InputMark *m);

/* How many bytes there are from @m to the next break; SIZE_MAX if there is no break before @limit. */
size_t input_ring_to_break(const InputRing *r, const InputMark *m, InputMark limit);

/* Points @iov to the bytes from @m to the next break, or to @limit if that comes before. Returns: how many of the @n_max have
 * been used. */
size_t input_ring_gather(const InputRing *r, const InputMark *m, InputMark limit, struct iovec *iov, size_t n_max);

/* Moves @m over the break that is next. Its owner moves it over bytes. */
void input_ring_pass_break(const InputRing *r, InputMark *m);

/* Frees memory that no reader needs. @behind: the reader that is furthest behind; NULL: none. Returns: bytes of memory that
 * the ring still takes, about. */
size_t input_ring_trim(InputRing *r, const InputMark *behind);
