/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * uthash, for tables whose keys strangers choose. Its own function has no secret in it: UUIDs that all fall into one
 * bucket are found in no time, and a table that has been given some hundreds of them stops growing for good
 * (test-hash-table shows it). Ours is SipHash, with a key that each process makes for itself.
 */
#define HASH_FUNCTION(data, size, value) (value) = (unsigned) hash_table_function((data), (size))

#include <uthash.h>

uint64_t hash_table_function(const void *data, size_t n);

/* SipHash-2-4 (Aumasson and Bernstein, 2012) */
uint64_t siphash24(const void *data, size_t n, const uint64_t key[static 2]);
