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

/* Returns: the number of breaks that are before @m, or that its reader has lost. */
static uint64_t breaks_passed(const InputRing *r, const InputMark *m) {
        return MAX(m->n_breaks, r->first_break);
}

size_t input_ring_break_space(const InputRing *r, const InputMark *m) {
        return INPUT_BREAKS_MAX - (size_t) (r->n_breaks - breaks_passed(r, m));
}

/* Returns: the position of the next break, or UINT64_MAX. */
static uint64_t next_break(const InputRing *r, const InputMark *m) {
        uint64_t i = breaks_passed(r, m);

        return i < r->n_breaks ? r->breaks[i % INPUT_BREAKS_MAX] : UINT64_MAX;
}

uint64_t input_ring_recover(const InputRing *r, InputMark *m) {
        uint64_t before = m->position;

        if (before >= r->bytes.begin)
                return 0;

        m->position = r->bytes.begin;
        while (next_break(r, m) < m->position)
                input_ring_pass_break(r, m);

        return m->position - before;
}

bool input_ring_has_reached(const InputRing *r, const InputMark *m, InputMark limit) {
        return m->position >= MIN(limit.position, r->bytes.end) &&
               breaks_passed(r, m) >= MIN(limit.n_breaks, r->n_breaks);
}

size_t input_ring_gather(const InputRing *r, const InputMark *m, InputMark limit, struct iovec *iov, size_t n_max) {
        uint64_t end = MIN(MIN(limit.position, r->bytes.end), next_break(r, m)), left = end - m->position;
        size_t n = ring_gather(&r->bytes, m->position, iov, n_max);

        for (size_t i = 0; i < n; i++) {
                iov[i].iov_len = MIN(iov[i].iov_len, left);
                left -= iov[i].iov_len;
                if (left == 0)
                        return i + (iov[i].iov_len > 0);
        }

        return n;
}

size_t input_ring_to_break(const InputRing *r, const InputMark *m, InputMark limit) {
        uint64_t position = breaks_passed(r, m) < limit.n_breaks ? next_break(r, m) : UINT64_MAX;

        return position == UINT64_MAX ? SIZE_MAX : (size_t) (position - m->position);
}

void input_ring_pass_break(const InputRing *r, InputMark *m) {
        m->n_breaks = breaks_passed(r, m) + 1;
}

size_t input_ring_trim(InputRing *r, const InputMark *behind) {
        if (behind && !input_ring_has_reached(r, behind, INPUT_NO_MARK)) {
                r->first_break = breaks_passed(r, behind);
                ring_drop(&r->bytes, behind->position);
                return (size_t) (r->bytes.end - r->bytes.begin) + (r->n_breaks - r->first_break) * sizeof *r->breaks;
        }

        ring_drop(&r->bytes, r->bytes.end);
        r->first_break = r->n_breaks;
        free(TAKE_PTR(r->breaks));
        return 0;
}
