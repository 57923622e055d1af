/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"

/*
 * ConsoleIndex: finds consoles by a key that several consoles may have. The consoles with one key are in a list, in the order
 * in which they were added.
 */
typedef struct Console Console;
typedef struct ConsoleEntry ConsoleEntry;
typedef struct ConsoleGroup ConsoleGroup;

typedef struct ConsoleIndex {
        ConsoleGroup *groups; /* uthash by key */
} ConsoleIndex;

/* A console in an index; embedded in the console. All zero: it is not in the index. */
struct ConsoleEntry {
        Console *console;
        ConsoleGroup *group;
        ConsoleEntry *prev, *next;
};

/* Adds @console with this key, and removes it with its previous key, if @entry is in the index. Returns: 0; or -ENOMEM, and
 * nothing has changed. */
int console_index_put(ConsoleIndex *index, ConsoleEntry *entry, Console *console, const void *key, size_t size);

/* Does nothing if @entry is not in the index. */
void console_index_remove(ConsoleIndex *index, ConsoleEntry *entry);

/* Returns: the first entry with this key, which the others follow; or NULL. */
ConsoleEntry *console_index_find(const ConsoleIndex *index, const void *key, size_t size);
