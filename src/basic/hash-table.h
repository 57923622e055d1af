/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * uthash, for tables whose keys strangers choose. Its own function has no secret in it: UUIDs that all fall into one
 * bucket are found in no time, and a table that has been given some hundreds of them stops growing for good
 * (test-hash-table shows it). Ours is SipHash, with a key that each process makes for itself.
 */
#define HASH_FUNCTION(data, size, value) (value) = (unsigned) hash_table_function((data), (size))

/* uthash would end the process, without a word, when memory is short. */
#define HASH_NONFATAL_OOM 1

#include <uthash.h>

/* Puts @element, which must be in no table, into @table under the key at @key, which stays there. Only this adds to a
 * table. Value: 0, or -ENOMEM, and then it is in no table. */
#define HASH_TRY_ADD(handle, table, key, size, element)                                                     \
        ({                                                                                                  \
                HASH_ADD_KEYPTR(handle, table, key, size, element);                                         \
                (element)->handle.tbl ? 0 : -ENOMEM;                                                        \
        })

/* Takes @element out of @table, unless it is in none. */
#define HASH_REMOVE(handle, table, element)                                                                 \
        do {                                                                                                \
                if ((element)->handle.tbl)                                                                  \
                        HASH_DELETE(handle, table, element);                                                \
                (element)->handle.tbl = NULL;                                                               \
        } while (0)

uint64_t hash_table_function(const void *data, size_t n);

/* SipHash-2-4 (Aumasson and Bernstein, 2012) */
uint64_t siphash24(const void *data, size_t n, const uint64_t key[static 2]);
