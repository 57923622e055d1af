/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <utlist.h>

#include "basic/log.h"
#include "console/message.h"
#include "file-sink.h"
#include "log/file-name.h"

typedef struct FileTarget {
        LogTarget target;
        mode_t mode;
        int fd; /* -1: not open */
        struct FileTarget *prev, *next; /* in FileSink.open, if it is */
        uint64_t ahead;     /* number of the following bytes that are in the file already */
        uint64_t n_missing; /* bytes that could not be written since the last report */
        char name[FILE_NAME_SIZE];
} FileTarget;

typedef struct FileSink {
        LogSink sink;
        char *folder;
        FileTarget *open; /* utlist, the least recently used first */
        size_t n_open;
        RateLimit failures; /* a full disk concerns every VM */
} FileSink;

static void close_file(FileSink *s, FileTarget *t) {
        if (t->fd < 0)
                return;

        DL_DELETE(s->open, t);
        s->n_open--;
        t->fd = safe_close(t->fd);
}

static void close_files(FileSink *s) {
        while (s->open)
                close_file(s, s->open);
}

/* Opens or creates a regular file: not a symbolic link, and no device or pipe, which could block. */
static int open_in_folder(const FileSink *s, const FileTarget *t) {
        struct stat st;

        _cleanup_close_ int folder = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return -errno;

        _cleanup_close_ int fd = openat(folder, t->name,
                                        O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
                                                O_CLOEXEC,
                                        t->mode);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EEXIST;

        /* A new file gets Mode=, whatever the umask is. */
        if (st.st_size == 0)
                (void) fchmod(fd, t->mode);

        return TAKE_FD(fd);
}

static LogPlace place_of(const struct stat *st) {
        return (LogPlace){.device = st->st_dev, .inode = st->st_ino, .size = (uint64_t) st->st_size};
}

static bool is_same_file(const LogPlace *a, const LogPlace *b) {
        return a->device == b->device && a->inode == b->inode;
}

/* Reads the size of the file. */
static void update_place(FileTarget *t) {
        struct stat st;

        if (fstat(t->fd, &st) >= 0)
                t->target.place = place_of(&st);
}

/* The byte at @position will be the first one written to this file. This is acknowledged before it is written, so that the
 * size of the file always tells how much has been written, even after a crash. */
static void begin_file(FileSink *s, FileTarget *t, uint64_t position) {
        LogPlace before = t->target.place;

        update_place(t);
        if (is_same_file(&before, &t->target.place))
                return;

        log_sink_logged(&s->sink, &t->target, position);
        log_sink_acknowledge(&s->sink);
}

static int open_file(FileSink *s, FileTarget *t, uint64_t position) {
        if (t->fd >= 0) { /* now the most recently used */
                DL_DELETE(s->open, t);
                DL_APPEND(s->open, t);
                return 0;
        }

        if (s->n_open >= FILE_SINK_OPEN_MAX)
                close_file(s, s->open);

        int fd = open_in_folder(s, t);
        if (fd == -EMFILE || fd == -ENFILE) {
                close_files(s);
                fd = open_in_folder(s, t);
        }
        if (fd < 0)
                return fd;

        t->fd = fd;
        DL_APPEND(s->open, t);
        s->n_open++;
        begin_file(s, t, position);
        return 0;
}

/* *ret_error: why not everything was written, or 0. Returns: the number of bytes written. */
static size_t write_all(int fd, const uint8_t *data, size_t n, int *ret_error) {
        size_t written = 0;

        *ret_error = 0;
        while (written < n && *ret_error == 0) {
                ssize_t k = write(fd, data + written, n - written);
                if (k >= 0)
                        written += (size_t) k;
                else if (errno != EINTR)
                        *ret_error = -errno;
        }

        return written;
}

static void log_failure(FileSink *s, const FileTarget *t, int error) {
        const LogFields fields = {.message_id = VSPC_MESSAGE_LOG_FILE_FAILED};
        unsigned n = log_rate_limit_pass(&s->failures, now_monotonic());

        if (n > 0)
                log_full(LOG_ERR, error, &fields,
                         "Cannot write %s/%s: %m. Consoles go on, without what cannot be written (%u %s since this was last "
                         "logged)",
                         s->folder, t->name, n, n == 1 ? "failure" : "failures");
}

/* Returns: whether the error concerns one file only, such as a link in its place. */
static bool concerns_one_file(int error) {
        return error == -ELOOP || error == -EEXIST || error == -EISDIR || error == -ENXIO;
}

static void set_error(FileSink *s, int error) {
        if (!concerns_one_file(error))
                log_sink_set_error(&s->sink, error);
}

static void report_missing(FileTarget *t) {
        if (t->n_missing > 0)
                console_label_log_gap(t->target.label, TAKE(t->n_missing, 0), t->name);
}

/* Returns: how many bytes the file has beyond the size in @place; 0 if it is another file. */
static uint64_t bytes_beyond(int folder, const char *name, const LogPlace *place) {
        struct stat st;

        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;

        const LogPlace now = place_of(&st);
        return is_same_file(&now, place) && now.size > place->size ? now.size - place->size : 0;
}

/* Returns: how many bytes the previous vspc-logger had written without acknowledging them. The file may have been rotated since. */
static uint64_t find_ahead(const FileSink *s, const FileTarget *t) {
        char rotated[FILE_NAME_SIZE + sizeof(".1")];

        if (t->target.place.inode == 0)
                return 0;

        _cleanup_close_ int folder = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return 0;

        snprintf(rotated, sizeof rotated, "%s.1", t->name);
        return bytes_beyond(folder, t->name, &t->target.place) ?: bytes_beyond(folder, rotated, &t->target.place);
}

static int file_open(LogSink *sink, LogTarget *target, const LogOpen *open) {
        FileTarget *t = container_of(target, FileTarget, target);

        t->fd = -1;
        t->mode = open->mode;
        file_name_make(*open->prefix ? open->prefix : NULL, open->name, open->uuid, t->name);
        t->ahead = find_ahead(container_of(sink, FileSink, sink), t);
        return 0;
}

/* Skips the bytes that are in the file already. Returns: how many of the next @n bytes these are. */
static uint64_t pass_ahead(FileTarget *t, uint64_t n) {
        uint64_t passed = MIN(t->ahead, n);

        t->ahead -= passed;
        t->target.place.size += passed;
        return passed;
}

static void file_write(LogSink *sink, LogTarget *target, const uint8_t *data, size_t n) {
        FileSink *s = container_of(sink, FileSink, sink);
        FileTarget *t = container_of(target, FileTarget, target);
        size_t passed = pass_ahead(t, n), left = n - passed, written = 0;

        if (left == 0) {
                log_sink_logged(sink, target, target->position + n);
                return;
        }

        int r = open_file(s, t, target->position + passed);
        if (r >= 0) {
                written = write_all(t->fd, data + passed, left, &r);
                update_place(t);
        }

        t->n_missing += left - written;
        log_sink_logged(sink, target, target->position + n);
        set_error(s, MIN(r, 0));
        if (r >= 0) {
                report_missing(t);
                return;
        }

        /* It is opened again for the next data, and may be another file then. */
        close_file(s, t);
        log_failure(s, t, r);
        log_sink_acknowledge(sink); /* before the relation of position and file size changes */
}

static void file_gap(LogSink *sink, LogTarget *target, uint64_t n) {
        FileTarget *t = container_of(target, FileTarget, target);

        t->n_missing += n - pass_ahead(t, n);
        if (t->fd >= 0) /* the last write has succeeded */
                report_missing(t);
        log_sink_logged(sink, target, target->position + n);
        log_sink_acknowledge(sink);
}

static void file_end(_unused_ LogSink *sink, LogTarget *target) {
        report_missing(container_of(target, FileTarget, target));
}

static void file_close(LogSink *sink, LogTarget *target) {
        FileTarget *t = container_of(target, FileTarget, target);

        close_file(container_of(sink, FileSink, sink), t);
        report_missing(t);
}

static usec_t file_idle(_unused_ LogSink *sink, _unused_ usec_t begun, _unused_ usec_t now) {
        return USEC_INFINITY;
}

static void file_reopen(LogSink *sink) {
        close_files(container_of(sink, FileSink, sink));
}

int file_sink_new(const char *folder, LogSink **ret) {
        static const LogSinkType type = {sizeof(FileTarget), file_open, file_write, file_gap, file_end, file_close, file_idle,
                                         file_reopen};

        _cleanup_free_ char *copy = strdup(folder);
        _cleanup_free_ FileSink *s = calloc(1, sizeof(FileSink));
        if (!s || !copy)
                return -ENOMEM;

        int r = log_sink_init(&s->sink, &type);
        if (r < 0)
                return r;

        s->folder = TAKE_PTR(copy);
        *ret = &TAKE_PTR(s)->sink;
        return 0;
}

LogSink *file_sink_free(LogSink *s) {
        FileSink *files = container_of(s, FileSink, sink);

        log_sink_done(s);
        free(files->folder);
        free(files);
        return NULL;
}
