/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"

/*
 * Store: what outlives a VM's connection, and with another backend than memory the process too: which VM has
 * which port. It observes the concentrator, which owns the truth once what was stored has been loaded.
 */

typedef struct Mapping {
        const char *id; /* see console_make_id(); the key */
        uint8_t uuid[16];
        const char *uri;
        const char *name;
        uint16_t port; /* 0: none */
} Mapping;

typedef int (*MappingHandler)(const Mapping *mapping, void *userdata);

/* A way to store mappings. All functions but close() return 0 or a negative errno. */
typedef struct StoreBackend {
        const char *name; /* as in Backend= */
        int (*open)(void **ret_state);
        void (*close)(void *state);

        /* Calls @handler for each mapping until it returns a negative errno, and returns that. */
        int (*load)(void *state, MappingHandler handler, void *userdata);

        /* Stores @mapping, in place of the one of the same id. What it points to is the caller's. */
        int (*put)(void *state, const Mapping *mapping);

        /* Returns: -ENOENT if there is no such mapping. */
        int (*remove)(void *state, const char *id);
} StoreBackend;

extern const StoreBackend store_memory;

/* NULL if there is no backend of this name. */
const StoreBackend *store_find_backend(const char *name);

typedef struct Store Store;

int store_new(const StoreBackend *backend, Concentrator *concentrator, Store **ret);

/* To be called before the concentrator goes: that VMs end with it is not to be stored. */
Store *store_free(Store *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Store *, store_free);

/* For a backend that has something to load: memory has not. */
int store_load(Store *s, MappingHandler handler, void *userdata);
