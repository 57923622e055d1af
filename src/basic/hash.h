/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* FNV-1a, 64 bits: a fast checksum for comparing data. It does not resist deliberate collisions. */
#define FNV1A_BEGIN UINT64_C(0xcbf29ce484222325)

static inline uint64_t fnv1a(uint64_t hash, const void *data, size_t n) {
        const uint8_t *p = data;

        for (size_t i = 0; i < n; i++)
                hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);

        return hash;
}

static inline uint64_t fnv1a_text(const char *text) {
        return fnv1a(FNV1A_BEGIN, text, strlen(text));
}
