/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=file: a file for each mapping in the state directory. A file is written under a temporary name, made
 * durable and renamed, so that at any moment, power cuts included, it is there as it was or as it is to be. What is
 * not ours, or damaged, is passed over with a warning and never deleted: where it has the name of a VM's file it is
 * set aside under another one once there is something to be written of that VM.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "basic/log.h"
#include "basic/text.h"
#include "mapping-file.h"
#include "store.h"

#define STATE_DIRECTORY_DEFAULT "/var/lib/vspc"
#define FOLDER "mappings"

/* What is being written; hidden, so that it is passed over should it ever be left */
#define TEMPORARY_PREFIX "."

/* What is set aside: behind the name it had, and a number from the second one on. So many of one name */
#define ASIDE_SUFFIX ".damaged"
#define ASIDE_MAX 16U
#define ASIDE_NAME_MAX (MAPPING_FILE_NAME_MAX + sizeof(ASIDE_SUFFIX ".99"))

typedef struct FileStore {
        int folder_fd;
        char *path; /* for messages */
        bool crowded; /* it has been logged that there is no name left to set something aside */
} FileStore;

/* What a file turns out to be */
typedef struct File {
        Mapping mapping;     /* points into the text */
        int error;           /* the negative errno with which it could not be read */
        const char *problem; /* why it is no mapping, in words */
        char text[MAPPING_FILE_SIZE_MAX + 1];
} File;

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

/* So that a folder that has just been made outlives a power cut as what is in it does. Where its parent cannot even
 * be read it is others' to care for. */
static int sync_parent(int folder_fd) {
        _cleanup_close_ int fd = openat(folder_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == EACCES ? 0 : -errno;

        return fsync(fd) < 0 ? -errno : 0;
}

static int folder_open(FileStore *s) {
        if (mkdir(s->path, 0750) < 0 && errno != EEXIST)
                return -errno;

        _cleanup_close_ int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        /* Two would give each other's VMs other ports. Our own lock on it, should it be the same folder, goes first. */
        s->folder_fd = safe_close(s->folder_fd);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;

        int r = sync_parent(fd);
        if (r < 0)
                return r;

        s->folder_fd = TAKE_FD(fd);
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

/* Reading is not to be a reason to write, which noting the time of it is; only the owner may ask for that. */
static int open_to_read(int folder_fd, const char *name) {
        const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

        int fd = openat(folder_fd, name, flags | O_NOATIME);
        if (fd < 0 && errno == EPERM)
                fd = openat(folder_fd, name, flags);

        return fd < 0 ? -errno : fd;
}

/* Returns: bytes read, or a negative errno; -EFBIG if there is more than @size. */
static ssize_t read_whole(int folder_fd, const char *name, char *text, size_t size) {
        _cleanup_close_ int fd = open_to_read(folder_fd, name);
        size_t n = 0;

        if (fd < 0)
                return fd;

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

static void file_examine(const FileStore *s, const char *name, File *f) {
        char expected[MAPPING_FILE_NAME_MAX];

        f->error = 0;
        f->problem = NULL;
        if (!has_suffix(name)) {
                f->problem = "it is not a mapping of a VM";
                return;
        }

        ssize_t n = read_whole(s->folder_fd, name, f->text, MAPPING_FILE_SIZE_MAX);
        if (n < 0)
                f->error = (int) n;
        else if (mapping_file_parse(f->text, (size_t) n, &f->mapping, &f->problem) >= 0 &&
                 !streq(mapping_file_name(f->mapping.id, expected), name))
                f->problem = "it is of a VM whose file has another name";
}

static bool file_is_mapping(const File *f) {
        return f->error == 0 && !f->problem;
}

/* Whether it says nothing of the file. */
static bool is_shortage(int error) {
        return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static const char *file_problem(const File *f) {
        return f->problem             ? f->problem
               : f->error == -EFBIG ? "it is too large"
               : f->error == -ELOOP ? "it is a symbolic link"
                                    : strerror(-f->error);
}

/* Returns: what @handler says; 0 for a file that is passed over. */
static int load_one(const FileStore *s, const char *name, VspcMappingHandler handler, void *userdata) {
        File f;

        file_examine(s, name, &f);
        if (file_is_mapping(&f))
                return handler(&f.mapping, userdata);

        _cleanup_free_ char *clean = text_sanitize(name, strlen(name), NAME_MAX);
        log_warning("%s/%s is passed over: %s", s->path, clean ?: "?", file_problem(&f));
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

/* Without replacing anything, also where the file system cannot promise it: nobody but us writes in this folder. */
static int rename_to_free(int folder_fd, const char *from, const char *to) {
        struct stat st;

        if (renameat2(folder_fd, from, folder_fd, to, RENAME_NOREPLACE) >= 0)
                return 0;
        if (errno != EINVAL)
                return -errno;

        if (fstatat(folder_fd, to, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return -EEXIST;
        if (errno != ENOENT)
                return -errno;

        return renameat(folder_fd, from, folder_fd, to) < 0 ? -errno : 0;
}

static int set_aside(FileStore *s, const char *name, const char *why) {
        char aside[ASIDE_NAME_MAX];
        int r = -EEXIST;

        for (unsigned i = 1; i <= ASIDE_MAX && r == -EEXIST; i++) {
                if (i == 1)
                        snprintf(aside, sizeof aside, "%s" ASIDE_SUFFIX, name);
                else
                        snprintf(aside, sizeof aside, "%s" ASIDE_SUFFIX ".%u", name, i);
                r = rename_to_free(s->folder_fd, name, aside);
        }

        if (r >= 0) {
                log_warning("%s/%s is in the place of a VM's file, and is called %s from now on: %s", s->path, name,
                            aside, why);
                s->crowded = false;
        } else if (r == -EEXIST && !TAKE(s->crowded, true))
                log_error("%s/%s is in the place of a VM's file, and there are %u " ASIDE_SUFFIX " ones already: %s",
                          s->path, name, ASIDE_MAX, why);

        return r == -ENOENT ? 0 : r;
}

/* By that name there may be one from before a crash. */
static int open_temporary(int folder_fd, const char *name) {
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

        int fd = openat(folder_fd, name, flags, 0640);
        if (fd < 0 && errno == EEXIST && unlinkat(folder_fd, name, 0) >= 0)
                fd = openat(folder_fd, name, flags, 0640);

        return fd < 0 ? -errno : fd;
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

static int write_temporary(const FileStore *s, const char *name, const Mapping *mapping) {
        _cleanup_(buffer_clear) Buffer text = BUFFER_INIT(MAPPING_FILE_SIZE_MAX);

        int r = mapping_file_format(mapping, &text);
        if (r < 0)
                return r;

        _cleanup_close_ int fd = open_temporary(s->folder_fd, name);
        if (fd < 0)
                return fd;

        r = write_whole(fd, buffer_data(&text), text.size);
        if (r < 0)
                (void) unlinkat(s->folder_fd, name, 0);

        return r;
}

static int write_mapping(FileStore *s, const Mapping *mapping) {
        char name[MAPPING_FILE_NAME_MAX], temporary[sizeof TEMPORARY_PREFIX + MAPPING_FILE_NAME_MAX];
        File there;

        mapping_file_name(mapping->id, name);
        snprintf(temporary, sizeof temporary, TEMPORARY_PREFIX "%s", name);

        int r = write_temporary(s, temporary, mapping);
        if (r < 0)
                return r;

        file_examine(s, name, &there);
        if (is_shortage(there.error))
                r = there.error;
        else if (!file_is_mapping(&there) && there.error != -ENOENT)
                r = set_aside(s, name, file_problem(&there));
        if (r >= 0 && renameat(s->folder_fd, temporary, s->folder_fd, name) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(s->folder_fd, temporary, 0);

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
        File there;

        file_examine(s, mapping_file_name(id, name), &there);
        if (is_shortage(there.error) || there.error == -EIO)
                return there.error;
        if (!file_is_mapping(&there)) /* not ours: it stays where it is */
                return -ENOENT;

        return unlinkat(s->folder_fd, name, 0) < 0 ? -errno : 0;
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
