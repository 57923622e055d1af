/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/*
 * What a backend of vspcd's store is: a way to keep which VM has which port. A plug-in is a shared object
 * backend-NAME.so in vspcd's folder of backends (pkg-config --variable=backenddir vspc-backend) that exports
 *
 *     const VspcBackend vspc_backend;
 *
 * and is used with Backend=NAME. vspcd checks abi and size before it looks at anything else.
 *
 * Threads: open() and load() are called in this order, once, while vspcd starts: it waits for them. From then on
 * all calls come from one thread, which is not that one: put(), remove() and sync() in any number, close() last.
 * Signals are blocked in both. If vspcd cannot start after all, the first thread calls close(). No two calls are
 * made at the same time. A backend may take its time: only what is to be stored waits for it.
 *
 * Ownership and lifetimes: what a pointer in a VspcMapping points to is the caller's and valid until the call
 * returns, in both directions. The state is the backend's, from open() to close().
 *
 * Errors: 0, or a negative errno. If open() or load() fails vspcd does not start. What could not be put or removed,
 * and all since the last sync() if sync() fails, is tried again after a while, with what is true by then; others go
 * on meanwhile. When vspcd ends what is left has five seconds; who is not ready by then is not closed.
 */

#ifdef __cplusplus
extern "C" {
#endif

#define VSPC_BACKEND_ABI 1U

/* Strings are UTF-8 without control characters, never NULL. */
typedef struct VspcMapping {
        const char *id;      /* the key: the UUID as 8-4-4-4-12, behind it "~" and the BIOS UUID if it is a second VM with
                              * that UUID, and "_" and the URI with MultiConsole=yes */
        uint8_t uuid[16];    /* as ESXi sent it */
        const char *uri;     /* the Port URI of the serial port, at most 3066 bytes */
        const char *name;    /* the VM's, at most 1536 bytes, "_" and the URI behind it as above; not unique, not "" */
        uint16_t port;       /* 0: it has none */
        uint64_t gone_since; /* microseconds since 1970; 0: it was connected when this was stored */
        uint64_t stored;     /* microseconds since 1970: of two mappings of one port the later one holds */
} VspcMapping;

/* Returns: 0, or a negative errno with which load() is to end. */
typedef int (*VspcMappingHandler)(const VspcMapping *mapping, void *userdata);

typedef struct VspcBackend {
        uint32_t abi;  /* VSPC_BACKEND_ABI */
        uint32_t size; /* sizeof(VspcBackend): later versions add members at the end */
        const char *name;

        /* @argument: what is behind the colon in Backend=NAME:ARGUMENT, "" if there is none */
        int (*open)(const char *argument, void **ret_state);
        void (*close)(void *state);

        /* Calls @handler for each mapping that is stored, in any order. (Of two of one port that were stored at the same
         * time the one that comes later holds.) One that is not as it was put, damaged as it may be in a database, is
         * passed over with a warning. */
        int (*load)(void *state, VspcMappingHandler handler, void *userdata);

        /* Stores @mapping in place of the one of the same id, if there is one. */
        int (*put)(void *state, const VspcMapping *mapping);

        /* Returns: -ENOENT if there is no such mapping, which is no error. */
        int (*remove)(void *state, const char *id);

        /* What has been put and removed outlives a power cut once this has returned. May be NULL. Called at most once a
         * second, but for the end, after errors, and after each 65,536 changes. */
        int (*sync)(void *state);
} VspcBackend;

/* What a plug-in defines */
extern const VspcBackend vspc_backend __attribute__((visibility("default")));

#ifdef __cplusplus
}
#endif
