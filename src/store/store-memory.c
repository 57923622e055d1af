/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backend=memory: mappings in memory, lost when the process exits. */

#include "basic/hash-table.h"
#include "store.h"

typedef struct MemoryEntry {
        Mapping *mapping;
        UT_hash_handle handle;
} MemoryEntry;

typedef struct Memory {
        MemoryEntry *entries; /* uthash by mapping->id */
} Memory;

static void entry_free(MemoryEntry *e) {
        free(e->mapping);
        free(e);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(MemoryEntry *, entry_free);

static int memory_open(_unused_ const char *argument, void **ret_state) {
        Memory *m = calloc(1, sizeof(Memory));
        if (!m)
                return -ENOMEM;

        *ret_state = m;
        return 0;
}

static void memory_close(void *state) {
        Memory *m = state;
        MemoryEntry *e, *next;

        HASH_ITER(handle, m->entries, e, next) {
                HASH_REMOVE(handle, m->entries, e);
                entry_free(e);
        }

        free(m);
}

/* In the order in which they were put; store-file.c relies on this */
static int memory_load(void *state, VspcMappingHandler handler, void *userdata) {
        Memory *m = state;
        MemoryEntry *e, *next;

        HASH_ITER(handle, m->entries, e, next) {
                int r = handler(e->mapping, userdata);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int memory_remove(void *state, const char *id) {
        Memory *m = state;
        MemoryEntry *e;

        HASH_FIND(handle, m->entries, id, strlen(id), e);
        if (!e)
                return -ENOENT;

        HASH_REMOVE(handle, m->entries, e);
        entry_free(e);
        return 0;
}

static int memory_put(void *state, const Mapping *mapping) {
        Memory *m = state;
        _cleanup_(entry_freep) MemoryEntry *e = calloc(1, sizeof(MemoryEntry));
        if (!e)
                return -ENOMEM;

        e->mapping = mapping_dup(mapping);
        if (!e->mapping)
                return -ENOMEM;

        (void) memory_remove(m, mapping->id);
        int r = HASH_TRY_ADD(handle, m->entries, e->mapping->id, strlen(e->mapping->id), e);
        if (r >= 0)
                TAKE_PTR(e);

        return r;
}

const StoreBackend store_memory = {
        .abi = VSPC_BACKEND_ABI,
        .size = sizeof(VspcBackend),
        .name = "memory",
        .open = memory_open,
        .close = memory_close,
        .load = memory_load,
        .put = memory_put,
        .remove = memory_remove,
};
