/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * uthash for tables whose keys come from the network. uthash's own hash function has no secret: anybody can choose
 * UUIDs that all fall into one bucket, and a table with some hundreds of them stops growing (test-hash-table shows
 * it). This header replaces it by SipHash with a random key for each process.
 */
#define HASH_FUNCTION(data, size, value) (value) = (unsigned) hash_table_function((data), (size))

/* By default, uthash exits the process without a message when memory is short. */
#define HASH_NONFATAL_OOM 1

#include <uthash.h>

/* Adds @element, which must be in no table, to @table. The key at @key must stay valid while it is there. Nothing else
 * adds elements to a table. Value: 0; or -ENOMEM, and @element is in no table. */
#define HASH_TRY_ADD(handle, table, key, size, element)                                                     \
        ({                                                                                                  \
                HASH_ADD_KEYPTR(handle, table, key, size, element);                                         \
                (element)->handle.tbl ? 0 : -ENOMEM;                                                        \
        })

/* Removes @element from @table. Does nothing if it is in no table. */
#define HASH_REMOVE(handle, table, element)                                                                 \
        do {                                                                                                \
                if ((element)->handle.tbl)                                                                  \
                        HASH_DELETE(handle, table, element);                                                \
                (element)->handle.tbl = NULL;                                                               \
        } while (0)

uint64_t hash_table_function(const void *data, size_t n);

/* SipHash-2-4 (Aumasson and Bernstein, 2012) */
uint64_t siphash24(const void *data, size_t n, const uint64_t key[static 2]);
