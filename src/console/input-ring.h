/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ring.h"

/*
 * InputRing: the input of a console: bytes, and breaks between them. It is stored once for all links. Each link reads at its own
 * mark, a plain record without pointers. The ring needs no memory while all readers are at its end.
 */

/* The maximum of bytes that are kept. A reader that is further behind loses the oldest. The same applies to breaks. */
#define INPUT_RING_MAX (1024U * 1024U + 64U * 1024U)

/* The maximum of breaks that are kept. A client sends two bytes for each. */
#define INPUT_BREAKS_MAX 16384U

typedef struct InputRing {
        Ring bytes; /* without cursors, because readers use marks */

        /* The position of break i is breaks[i % INPUT_BREAKS_MAX]. Breaks are numbered from the creation of the ring. NULL: no
         * break is waiting. */
        uint64_t *breaks;
        uint64_t first_break, n_breaks;
} InputRing;

/* A place in the ring, which may be between two breaks at the same position */
typedef struct InputMark {
        uint64_t position;
        uint64_t n_breaks; /* number of breaks before it */
} InputMark;

#define INPUT_NO_MARK ((InputMark){UINT64_MAX, UINT64_MAX})

void input_ring_init(InputRing *r);
void input_ring_done(InputRing *r);

/* Append bytes, or a break. Return: 0; or -ENOMEM, and nothing is appended. */
int input_ring_append(InputRing *r, const void *data, size_t n);
int input_ring_append_break(InputRing *r);

static inline InputMark input_ring_end(const InputRing *r) {
        return (InputMark){r->bytes.end, r->n_breaks};
}

/* Returns: the number of bytes after @m, including lost ones. */
static inline uint64_t input_ring_lag(const InputRing *r, const InputMark *m) {
        return r->bytes.end - m->position;
}

/* Returns: how many more breaks can be appended without any being lost for @m. */
size_t input_ring_break_space(const InputRing *r, const InputMark *m);

/* Returns: whether there is nothing between @m and @limit, or the end if that comes first. */
bool input_ring_has_reached(const InputRing *r, const InputMark *m, InputMark limit);

/* If bytes after @m are lost, moves it to the oldest one that is left. Returns: the number of lost bytes. */
uint64_t input_ring_recover(const InputRing *r, InputMark *m);

/* Returns: the number of bytes from @m to the next break; SIZE_MAX if there is no break before @limit. */
size_t input_ring_to_break(const InputRing *r, const InputMark *m, InputMark limit);

/* Points @iov to the bytes from @m to the next break, or to @limit if that comes first. Returns: the number of pieces, at most
 * @n_max. */
size_t input_ring_gather(const InputRing *r, const InputMark *m, InputMark limit, struct iovec *iov, size_t n_max);

/* Moves @m behind the next break. (Its owner moves it over bytes.) */
void input_ring_pass_break(const InputRing *r, InputMark *m);

/* Frees memory that no reader needs. @behind: the reader that is furthest behind, or NULL. Returns: about the bytes of memory
 * that the ring still uses. */
size_t input_ring_trim(InputRing *r, const InputMark *behind);
