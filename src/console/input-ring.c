/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "input-ring.h"

void input_ring_init(InputRing *r) {
        *r = (InputRing){};
        ring_init(&r->bytes, 0, INPUT_RING_MAX);
}

void input_ring_done(InputRing *r) {
        ring_done(&r->bytes);
        free(r->breaks);
}

int input_ring_append(InputRing *r, const void *data, size_t n) {
        return ring_append(&r->bytes, data, n);
}

int input_ring_append_break(InputRing *r) {
        if (!r->breaks) {
                r->breaks = calloc(INPUT_BREAKS_MAX, sizeof *r->breaks);
                if (!r->breaks)
                        return -ENOMEM;
        }

        if (r->n_breaks - r->first_break == INPUT_BREAKS_MAX)
                r->first_break++;
        r->breaks[r->n_breaks++ % INPUT_BREAKS_MAX] = r->bytes.end;
        return 0;
}

/* How many breaks are before the cursor, or have been lost to it. */
static uint64_t breaks_passed(const InputRing *r, const InputCursor *c) {
        return MAX(c->n_breaks, r->first_break);
}

size_t input_ring_break_space(const InputRing *r, const InputCursor *c) {
        return INPUT_BREAKS_MAX - (size_t) (r->n_breaks - breaks_passed(r, c));
}

int input_ring_enter(InputRing *r, InputCursor *c) {
        c->n_breaks = r->n_breaks;
        return ring_enter(&r->bytes, &c->bytes);
}

void input_ring_leave(InputRing *r, InputCursor *c) {
        ring_leave(&r->bytes, &c->bytes);
}

/* Where the next break is, or UINT64_MAX. */
static uint64_t next_break(const InputRing *r, const InputCursor *c) {
        uint64_t i = breaks_passed(r, c);

        return i < r->n_breaks ? r->breaks[i % INPUT_BREAKS_MAX] : UINT64_MAX;
}

void input_ring_skip(InputRing *r, InputCursor *c, InputMark mark) {
        ring_move(&r->bytes, &c->bytes, mark.position);
        c->n_breaks = mark.n_breaks;
}

uint64_t input_ring_recover(InputRing *r, InputCursor *c) {
        uint64_t before = c->bytes.position;

        if (!ring_has_lost(&r->bytes, &c->bytes))
                return 0;

        ring_move(&r->bytes, &c->bytes, r->bytes.begin);
        while (next_break(r, c) < c->bytes.position)
                input_ring_pass_break(r, c);

        return c->bytes.position - before;
}

bool input_ring_has_reached(const InputRing *r, const InputCursor *c, InputMark mark) {
        return c->bytes.position >= MIN(mark.position, r->bytes.end) && 
               breaks_passed(r, c) >= MIN(mark.n_breaks, r->n_breaks);
}

bool input_ring_is_at_break(const InputRing *r, const InputCursor *c, InputMark limit) {
        return breaks_passed(r, c) < limit.n_breaks && next_break(r, c) == c->bytes.position;
}

size_t input_ring_gather(const InputRing *r, const InputCursor *c, InputMark limit, struct iovec *iov, size_t n_max) {
        uint64_t end = MIN(MIN(limit.position, r->bytes.end), next_break(r, c)), left = end - c->bytes.position;
        size_t n = ring_gather(&r->bytes, c->bytes.position, iov, n_max);

        for (size_t i = 0; i < n; i++) {
                iov[i].iov_len = MIN(iov[i].iov_len, left);
                left -= iov[i].iov_len;
                if (left == 0)
                        return i + (iov[i].iov_len > 0);
        }

        return n;
}

size_t input_ring_to_break(const InputRing *r, const InputCursor *c, InputMark limit) {
        uint64_t position = breaks_passed(r, c) < limit.n_breaks ? next_break(r, c) : UINT64_MAX;

        return position == UINT64_MAX ? SIZE_MAX : (size_t) (position - c->bytes.position);
}

void input_ring_advance(InputRing *r, InputCursor *c, size_t n) {
        ring_move(&r->bytes, &c->bytes, c->bytes.position + n);
}

void input_ring_pass_break(const InputRing *r, InputCursor *c) {
        c->n_breaks = breaks_passed(r, c) + 1;
}

size_t input_ring_trim(InputRing *r, const InputCursor *behind) {
        if (behind && !input_ring_has_reached(r, behind, INPUT_NO_MARK)) {
                r->first_break = MAX(r->first_break, behind->n_breaks);
                ring_trim(&r->bytes);
                return (size_t) (r->bytes.end - r->bytes.begin) + (r->n_breaks - r->first_break) * sizeof *r->breaks;
        }

        ring_drain(&r->bytes);
        r->first_break = r->n_breaks;
        free(TAKE_PTR(r->breaks));
        return 0;
}
