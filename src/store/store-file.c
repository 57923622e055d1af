/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=file: a file for each mapping in the state directory. A file is written under a temporary name, made
 * durable and renamed, so that at any moment, power cuts included, it is there as it was or as it is to be. What is
 * not ours, or damaged, is passed over with a warning and never touched.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "basic/log.h"
#include "mapping-file.h"
#include "store.h"

#define STATE_DIRECTORY_DEFAULT "/var/lib/vspc"
#define FOLDER "mappings"

/* What is being written; hidden, so that it is passed over should it ever be left */
#define TEMPORARY_PREFIX "."

typedef struct FileStore {
        int folder_fd;
        char *path; /* for messages */
} FileStore;

static void file_close(void *state) {
        FileStore *s = state;

        safe_close(s->folder_fd);
        free(s->path);
        free(s);
}

static inline void file_closep(FileStore **s) {
        if (*s)
                file_close(*s);
}

/* The first of the folders that systemd names (systemd.exec(5)) */
static char *state_directory(void) {
        const char *list = getenv("STATE_DIRECTORY");

        return list && *list ? strndup(list, strcspn(list, ":")) : strdup(STATE_DIRECTORY_DEFAULT);
}

static int folder_open(FileStore *s) {
        if (mkdir(s->path, 0750) < 0 && errno != EEXIST)
                return -errno;

        int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        /* Two would give each other's VMs other ports. Our own lock on it, should it be the same folder, goes first. */
        s->folder_fd = safe_close(s->folder_fd);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

                safe_close(fd);
                return r;
        }

        s->folder_fd = fd;
        return 0;
}

static int file_open(const char *argument, void **ret_state) {
        _cleanup_free_ char *directory = *argument ? strdup(argument) : state_directory();
        _cleanup_(file_closep) FileStore *s = calloc(1, sizeof(FileStore));
        if (!directory || !s)
                return -ENOMEM;

        s->folder_fd = -1;
        if (asprintf(&s->path, "%s/" FOLDER, directory) < 0) {
                s->path = NULL;
                return -ENOMEM;
        }

        int r = folder_open(s);
        if (r == -EBUSY)
                return log_error_errno(r, "The folder %s is in use by another vspcd: give this one another, as in "
                                          "Backend=file:FOLDER, or Backend=memory to try it out", s->path);
        if (r < 0)
                return log_error_errno(r, "Cannot make or open the folder %s (StateDirectory= in the unit, "
                                          "$STATE_DIRECTORY or Backend=file:FOLDER says where it is): %m", s->path);

        *ret_state = TAKE_PTR(s);
        return 0;
}

/* Returns: bytes read, or a negative errno; -EFBIG if there is more than @size. */
static ssize_t read_whole(int folder_fd, const char *name, char *text, size_t size) {
        _cleanup_close_ int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        size_t n = 0;

        if (fd < 0)
                return -errno;

        for (;;) {
                ssize_t k = read(fd, text + n, size + 1 - n);
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;

                n += (size_t) k;
                if (n > size)
                        return -EFBIG;
        }

        text[n] = 0;
        return (ssize_t) n;
}

static bool has_suffix(const char *name) {
        size_t n = strlen(name), suffix = strlen(MAPPING_FILE_SUFFIX);

        return n > suffix && streq(name + n - suffix, MAPPING_FILE_SUFFIX);
}

static const char *describe(int error) {
        return error == -EFBIG ? "it is too large" : error == -ELOOP ? "it is a symbolic link" : strerror(-error);
}

/* Returns: what @handler says; 0 for a file that is passed over. */
static int load_one(const FileStore *s, const char *name, VspcMappingHandler handler, void *userdata) {
        char text[MAPPING_FILE_SIZE_MAX + 1], expected[MAPPING_FILE_NAME_MAX];
        const char *problem = "it is not a mapping of a VM";
        Mapping mapping;

        ssize_t n = has_suffix(name) ? read_whole(s->folder_fd, name, text, MAPPING_FILE_SIZE_MAX) : -EBADMSG;
        if (n >= 0 && mapping_file_parse(text, (size_t) n, &mapping, &problem) < 0)
                n = -EBADMSG;
        if (n >= 0 && !streq(mapping_file_name(mapping.id, expected), name)) {
                problem = "it is of a VM whose file has another name";
                n = -EBADMSG;
        }

        if (n >= 0)
                return handler(&mapping, userdata);

        log_warning("%s/%s is passed over: %s", s->path, name,
                    n == -EBADMSG ? problem : describe((int) n));
        return 0;
}

static int file_load(void *state, VspcMappingHandler handler, void *userdata) {
        FileStore *s = state;
        _cleanup_close_ int fd = openat(s->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct dirent *entry;
        int r = 0;

        DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
        if (!folder)
                return -errno;
        TAKE_FD(fd);

        while (r >= 0 && (errno = 0, entry = readdir(folder)))
                if (entry->d_name[0] != '.')
                        r = load_one(s, entry->d_name, handler, userdata);
        if (r >= 0)
                r = -errno; /* a folder that is read in part would cost the rest their ports */

        closedir(folder);
        return r;
}

static int write_whole(int fd, const uint8_t *data, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, data, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;

                data += k;
                n -= (size_t) k;
        }

        return fsync(fd) < 0 ? -errno : 0;
}

static int write_mapping(const FileStore *s, const Mapping *mapping) {
        char name[MAPPING_FILE_NAME_MAX], temporary[sizeof TEMPORARY_PREFIX + MAPPING_FILE_NAME_MAX];
        Buffer text = BUFFER_INIT(MAPPING_FILE_SIZE_MAX);

        mapping_file_name(mapping->id, name);
        snprintf(temporary, sizeof temporary, TEMPORARY_PREFIX "%s", name);

        int r = mapping_file_format(mapping, &text);
        _cleanup_close_ int fd = r < 0 ? -1
                                       : openat(s->folder_fd, temporary,
                                                O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
        if (r >= 0)
                r = fd < 0 ? -errno : write_whole(fd, buffer_data(&text), text.size);
        if (r >= 0 && renameat(s->folder_fd, temporary, s->folder_fd, name) < 0)
                r = -errno;
        if (r < 0 && fd >= 0)
                (void) unlinkat(s->folder_fd, temporary, 0);

        buffer_clear(&text);
        return r;
}

static int file_put(void *state, const Mapping *mapping) {
        FileStore *s = state;

        int r = write_mapping(s, mapping);
        if ((r == -ENOENT || r == -EBADF) && folder_open(s) >= 0) /* somebody has removed it */
                r = write_mapping(s, mapping);

        return r;
}

static int file_remove(void *state, const char *id) {
        FileStore *s = state;
        char name[MAPPING_FILE_NAME_MAX];

        return unlinkat(s->folder_fd, mapping_file_name(id, name), 0) < 0 ? -errno : 0;
}

static int file_sync(void *state) {
        FileStore *s = state;

        return fsync(s->folder_fd) < 0 ? -errno : 0;
}

const StoreBackend store_file = {
        .abi = VSPC_BACKEND_ABI,
        .size = sizeof(VspcBackend),
        .name = "file",
        .open = file_open,
        .close = file_close,
        .load = file_load,
        .put = file_put,
        .remove = file_remove,
        .sync = file_sync,
};
