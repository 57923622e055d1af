/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/*
 * The interface of backends, which store VMs and their ports for vspcd. A plug-in is a shared object backend-NAME.so
 * in vspcd's folder of backends (pkg-config --variable=backenddir vspc-backend). It exports
 *
 *     const VspcBackend vspc_backend;
 *
 * and is used with Backend=NAME. vspcd checks abi and size before it uses anything else.
 *
 * Threads: while vspcd starts, it calls open() and load() once, in this order, and waits for them. All later calls
 * come from another thread: put(), remove() and sync() any number of times, and finally close(). If vspcd fails to
 * start, the first thread calls close(). Signals are blocked in both threads. There is only one call at a time. A
 * backend may take its time: only changes that must be stored wait for it.
 *
 * Ownership: the pointers in a VspcMapping belong to the caller and are valid until the call returns, in both
 * directions. The state belongs to the backend, from open() to close().
 *
 * Errors: functions return 0 or a negative errno. If open() or load() fails, vspcd does not start. If put() or
 * remove() fails, the change is tried again after a while with the values of that time; if sync() fails, all changes
 * since the last sync() are. Other changes are stored meanwhile. When vspcd exits, the backend has five seconds to
 * store the rest; if it takes longer, close() is not called.
 */

#ifdef __cplusplus
extern "C" {
#endif

#define VSPC_BACKEND_ABI 1U

/* Strings are UTF-8 without control characters, never NULL. */
typedef struct VspcMapping {
        const char *id;      /* the key: the UUID as 8-4-4-4-12 hex digits; then "~" and the BIOS UUID for a copy of a
                              * VM that has the same UUID; then "_" and the URI with MultiConsole=yes */
        uint8_t uuid[16];    /* as ESXi sent it */
        const char *uri;     /* the Port URI of the serial port, at most 3066 bytes */
        const char *name;    /* the VM's name, at most 1536 bytes, with "_" and the URI as above; not unique, not "" */
        uint16_t port;       /* 0: none */
        uint64_t gone_since; /* when the VM went away, microseconds since 1970; 0: it was connected */
        uint64_t stored;     /* microseconds since 1970; if two mappings have the same port, the later one wins */
} VspcMapping;

/* Returns: 0; or a negative errno, which load() must return. */
typedef int (*VspcMappingHandler)(const VspcMapping *mapping, void *userdata);

typedef struct VspcBackend {
        uint32_t abi;  /* VSPC_BACKEND_ABI */
        uint32_t size; /* sizeof(VspcBackend): later versions add members at the end */
        const char *name;

        /* @argument: the part after the colon of Backend=NAME:ARGUMENT, "" if there is none */
        int (*open)(const char *argument, void **ret_state);
        void (*close)(void *state);

        /* Calls @handler for each stored mapping, in any order. (If two mappings have the same port and
         * the same time, the one passed later wins.) A mapping that has been damaged in the meantime is
         * ignored with a warning. */
        int (*load)(void *state, VspcMappingHandler handler, void *userdata);

        /* Stores @mapping and replaces one with the same id. */
        int (*put)(void *state, const VspcMapping *mapping);

        /* Returns: 0; -ENOENT if there is no such mapping, which is not treated as an error; or another
         * negative errno. */
        int (*remove)(void *state, const char *id);

        /* Makes all previous changes survive a power cut. May be NULL. Called at most once in a second,
         * except at the end, after errors, and after 65,536 changes. */
        int (*sync)(void *state);
} VspcBackend;

/* Defined by the plug-in */
extern const VspcBackend vspc_backend __attribute__((visibility("default")));

#ifdef __cplusplus
}
#endif
