/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random test data that is the same in each run: SplitMix64. */

#include <stdio.h>

#include "basic/macro.h"

typedef struct Prng {
        uint64_t state;
} Prng;

/* Uses the seed $TEST_SEED, by default 1, and prints it, so that a failure can be repeated. */
static inline Prng prng_init(void) {
        const char *s = getenv("TEST_SEED");
        uint64_t seed = s ? strtoull(s, NULL, 0) : 1;

        printf("# TEST_SEED=%llu\n", (unsigned long long) seed);
        return (Prng){seed};
}

static inline uint64_t prng_next(Prng *r) {
        uint64_t z = r->state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
}

/* Returns: 0 … @n - 1 */
static inline size_t prng_below(Prng *r, size_t n) {
        return (size_t) (prng_next(r) % n);
}

/* Random bytes, half of which are elements of @favourites: bytes that are difficult for a parser are rare in noise. */
static inline void prng_fill(Prng *r, uint8_t *p, size_t n, const uint8_t *favourites, size_t n_favourites) {
        for (size_t i = 0; i < n; i++)
                p[i] = prng_next(r) & 1 ? favourites[prng_below(r, n_favourites)] : (uint8_t) prng_next(r);
}
