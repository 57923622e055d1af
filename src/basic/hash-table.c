/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <endian.h>
#include <pthread.h>
#include <sys/random.h>

#include "hash-table.h"

static uint64_t rotate(uint64_t x, unsigned bits) {
        return x << bits | x >> (64 - bits);
}

static void siphash_rounds(uint64_t v[static 4], unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                v[0] += v[1];
                v[1] = rotate(v[1], 13) ^ v[0];
                v[0] = rotate(v[0], 32);
                v[2] += v[3];
                v[3] = rotate(v[3], 16) ^ v[2];
                v[0] += v[3];
                v[3] = rotate(v[3], 21) ^ v[0];
                v[2] += v[1];
                v[1] = rotate(v[1], 17) ^ v[2];
                v[2] = rotate(v[2], 32);
        }
}

static void siphash_word(uint64_t v[static 4], uint64_t word) {
        v[3] ^= word;
        siphash_rounds(v, 2);
        v[0] ^= word;
}

uint64_t siphash24(const void *data, size_t n, const uint64_t key[static 2]) {
        uint64_t v[4] = {
                UINT64_C(0x736f6d6570736575) ^ key[0],
                UINT64_C(0x646f72616e646f6d) ^ key[1],
                UINT64_C(0x6c7967656e657261) ^ key[0],
                UINT64_C(0x7465646279746573) ^ key[1],
        };
        const uint8_t *p = data;
        uint64_t word, last = 0;

        for (size_t i = n / 8; i > 0; i--, p += 8) {
                memcpy(&word, p, 8);
                siphash_word(v, le64toh(word));
        }

        /* The remaining bytes, and the length in the highest byte */
        memcpy(&last, p, n % 8);
        siphash_word(v, le64toh(last) | (uint64_t) n << 56);

        v[2] ^= 0xff;
        siphash_rounds(v, 4);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t process_key[2];

/* As systemd does for its own tables: take the kernel's random numbers even directly after a boot. */
static void make_process_key(void) {
        if (getrandom(process_key, sizeof process_key, GRND_INSECURE) != sizeof process_key)
                abort();
}

uint64_t hash_table_function(const void *data, size_t n) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void) pthread_once(&once, make_process_key);
        return siphash24(data, n, process_key);
}
