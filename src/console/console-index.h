/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"

/*
 * ConsoleIndex: finds consoles by a key that several may have in common. The consoles under a key are a list, in the order in
 * which they were put there.
 */
typedef struct Console Console;
typedef struct ConsoleEntry ConsoleEntry;
typedef struct ConsoleGroup ConsoleGroup;

typedef struct ConsoleIndex {
        ConsoleGroup *groups; /* uthash by key */
} ConsoleIndex;

/* A console's place in an index, embedded in the console. All zero: it is not in the index. */
struct ConsoleEntry {
        Console *console;
        ConsoleGroup *group;
        ConsoleEntry *prev, *next;
};

/* Puts @console into the index under the key, and removes it from under the key under which @entry has been. Returns: 0, or
 * -ENOMEM and nothing has changed. */
int console_index_put(ConsoleIndex *index, ConsoleEntry *entry, Console *console, const void *key, size_t size);

/* Does nothing if it is not in the index. */
void console_index_remove(ConsoleIndex *index, ConsoleEntry *entry);

/* Returns: the first entry under the key, followed by the others; NULL: none. */
ConsoleEntry *console_index_find(const ConsoleIndex *index, const void *key, size_t size);
