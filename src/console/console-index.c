/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "console-index.h"

/* The entries with one key. It exists while there are any, so that removing an entry needs no memory. */
struct ConsoleGroup {
        UT_hash_handle handle;
        ConsoleEntry *entries; /* utlist, never empty */
        uint8_t key[];
};

static ConsoleGroup *find_group(const ConsoleIndex *index, const void *key, size_t size) {
        ConsoleGroup *g;

        HASH_FIND(handle, index->groups, key, size, g);
        return g;
}

static ConsoleGroup *make_group(ConsoleIndex *index, const void *key, size_t size) {
        _cleanup_free_ ConsoleGroup *g = calloc(1, sizeof(ConsoleGroup) + size);
        if (!g)
                return NULL;

        memcpy(g->key, key, size);
        return HASH_TRY_ADD(handle, index->groups, g->key, size, g) < 0 ? NULL : TAKE_PTR(g);
}

int console_index_put(ConsoleIndex *index, ConsoleEntry *entry, Console *console, const void *key, size_t size) {
        ConsoleGroup *g = find_group(index, key, size) ?: make_group(index, key, size);
        if (!g)
                return -ENOMEM;
        if (g == entry->group)
                return 0;

        console_index_remove(index, entry);
        entry->console = console;
        entry->group = g;
        DL_APPEND(g->entries, entry);
        return 0;
}

void console_index_remove(ConsoleIndex *index, ConsoleEntry *entry) {
        ConsoleGroup *g = TAKE_PTR(entry->group);

        if (!g)
                return;

        DL_DELETE(g->entries, entry);
        if (g->entries)
                return;

        HASH_REMOVE(handle, index->groups, g);
        free(g);
}

ConsoleEntry *console_index_find(const ConsoleIndex *index, const void *key, size_t size) {
        ConsoleGroup *g = find_group(index, key, size);

        return g ? g->entries : NULL;
}
