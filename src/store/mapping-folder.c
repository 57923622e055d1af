/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>

#include "basic/log.h"
#include "basic/text.h"
#include "mapping-folder.h"
#include "mapping-line.h"

#define SUFFIX ".vm"

typedef int (*Put)(void *state, const Mapping *mapping);

/* Adds a NUL at the end. Returns: the number of bytes read, or a negative errno. */
static ssize_t read_whole(int folder_fd, const char *name, char *text, size_t size) {
        _cleanup_close_ int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        size_t n = 0;

        if (fd < 0)
                return -errno;

        for (;;) {
                ssize_t k = read(fd, text + n, size - n);
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;

                n += (size_t) k;
                if (n == size)
                        return -EFBIG;
        }

        text[n] = 0;
        return (ssize_t) n;
}

/* Returns: the result of @put; 0 for a file that is ignored. */
static int load_one(int folder_fd, const char *parent, const char *name, Put put, void *state) {
        char text[MAPPING_LINE_MAX];
        const char *problem = "it is not a mapping of a VM";
        size_t length = strlen(name), suffix = strlen(SUFFIX);
        Mapping m;

        if (length > suffix && streq(name + length - suffix, SUFFIX)) {
                ssize_t n = read_whole(folder_fd, name, text, sizeof text);

                if (n < 0)
                        problem = strerror((int) -n);
                else if (mapping_fields_parse(text, (size_t) n, '\n', &m, &problem) >= 0 && m.name)
                        return put(state, &m);
        }

        _cleanup_free_ char *clean = text_sanitize(name, length, NAME_MAX);
        log_warning("%s/" MAPPING_FOLDER "/%s is ignored: %s", parent, clean ?: "?", problem);
        return 0;
}

int mapping_folder_load(int parent_fd, const char *parent, Put put, void *state) {
        int fd = openat(parent_fd, MAPPING_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct dirent *entry;
        int r = 0;

        DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
        if (!folder) {
                r = -errno;
                safe_close(fd);
                return r;
        }

        while (r >= 0 && (errno = 0, entry = readdir(folder)))
                if (entry->d_name[0] != '.')
                        r = load_one(fd, parent, entry->d_name, put, state);
        if (r >= 0)
                r = -errno; /* if only a part of the folder were read, the other VMs would lose their ports */

        closedir(folder);
        return r;
}
