/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random test data that is the same every time: SplitMix64. */

#include <stdio.h>

#include "basic/macro.h"

typedef struct Prng {
        uint64_t state;
} Prng;

/* Seeded with $TEST_SEED, or with 1. The seed is printed: it is what a failure is repeated with. */
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

/* Bytes of which every other one is an element of @favourites: what a parser finds hard is rare in noise. */
static inline void prng_fill(Prng *r, uint8_t *p, size_t n, const uint8_t *favourites, size_t n_favourites) {
        for (size_t i = 0; i < n; i++)
                p[i] = prng_next(r) & 1 ? favourites[prng_below(r, n_favourites)] : (uint8_t) prng_next(r);
}
