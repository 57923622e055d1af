/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dlfcn.h>

#include "basic/log.h"
#include "basic/text.h"
#include "plug-in.h"

#define SYMBOL "vspc_backend"
#define NAME_MAX_BYTES 64U

static const StoreBackend *const built_in[] = {
        &store_memory,
        &store_file,
};

/* Bytes of the name in "NAME:ARGUMENT" */
static size_t name_length(const char *backend) {
        return strcspn(backend, ":");
}

bool backend_name_is_valid(const char *backend) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
        size_t n = name_length(backend);

        return n > 0 && n <= NAME_MAX_BYTES && strspn(backend, allowed) == n;
}

static const char *plug_in_folder(void) {
        return secure_getenv("VSPC_BACKEND_PATH") ?: VSPC_BACKEND_DIR;
}

static int plug_in_check(const StoreBackend *b, const char *path) {
        if (b->abi != VSPC_BACKEND_ABI || b->size < sizeof(VspcBackend))
                return log_error_errno(ELIBBAD, "%s is for version %u of the interface (%u bytes), vspcd has version "
                                                "%u (%zu bytes): build it against this version's vspc-backend.h",
                                       path, b->abi, b->size, VSPC_BACKEND_ABI, sizeof(VspcBackend));

        if (!b->name || !b->open || !b->close || !b->load || !b->put || !b->remove)
                return log_error_errno(ELIBBAD, "%s lacks one of name, open, close, load, put and remove", path);

        return 0;
}

/* The name is the first @n bytes of @name. The rest may contain a password and must not be logged. */
static int plug_in_load(const char *name, size_t n, const StoreBackend **ret) {
        _cleanup_free_ char *path = text_format("%s/backend-%.*s.so", plug_in_folder(), (int) n, name);
        if (!path)
                return log_error_errno(ENOMEM, "Cannot look for Backend=%.*s: %m", (int) n, name);

        if (access(path, F_OK) < 0)
                return log_error_errno(errno, "Backend=%.*s is neither memory nor file, and there is no plug-in %s: "
                                              "%m", (int) n, name, path);

        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!library)
                return log_error_errno(ELIBBAD, "Cannot load the plug-in of Backend=%.*s: %s", (int) n, name,
                                       dlerror());

        const StoreBackend *b = dlsym(library, SYMBOL);
        int r = b ? plug_in_check(b, path) : log_error_errno(ELIBBAD, "%s does not export " SYMBOL, path);
        if (r < 0) {
                dlclose(library);
                return r;
        }

        *ret = b;
        return 0;
}

int backend_find(const char *backend, const StoreBackend **ret, const char **ret_argument) {
        size_t n = name_length(backend);

        *ret_argument = backend[n] ? backend + n + 1 : "";
        for (size_t i = 0; i < ELEMENTSOF(built_in); i++)
                if (strlen(built_in[i]->name) == n && memcmp(built_in[i]->name, backend, n) == 0) {
                        *ret = built_in[i];
                        return 0;
                }

        return plug_in_load(backend, n, ret);
}
