/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"

/*
 * ConsoleIndex: finds consoles by something that several may have in common. Those that have it are a list, in the order in
 * which they got it.
 */
typedef struct Console Console;
typedef struct ConsoleEntry ConsoleEntry;
typedef struct ConsoleGroup ConsoleGroup;

typedef struct ConsoleIndex {
        ConsoleGroup *groups; /* uthash by key */
} ConsoleIndex;

/* A console's place in an index, embedded in it. All zero: it is not in there. */
struct ConsoleEntry {
        Console *console;
        ConsoleGroup *group;
        ConsoleEntry *prev, *next;
};

/* Puts @console into the index under the key, instead of the key that @entry has been under, if it has been. Returns: 0, or
 * -ENOMEM and nothing has changed. */
int console_index_put(ConsoleIndex *index, ConsoleEntry *entry, Console *console, const void *key, size_t size);

/* Does nothing if it is not in there. */
void console_index_remove(ConsoleIndex *index, ConsoleEntry *entry);

/* The first of those that have that key, followed by the others; NULL: none has. */
ConsoleEntry *console_index_find(const ConsoleIndex *index, const void *key, size_t size);
