/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <utlist.h>

#include "basic/log.h"
#include "console/message.h"
#include "file-name.h"
#include "file-sink.h"

/* A full disk concerns every VM: what goes wrong is logged for one of them in so long a time. */
#define FAILURE_LOG_INTERVAL_USEC (10 * USEC_PER_SEC)

typedef struct FileStream {
        SpoolStream spool;
        ConsoleLabel *label;
        mode_t mode;
        int fd; /* -1: not open */
        struct FileStream *prev, *next; /* in FileSink.open, if it is */
        uint64_t n_missing; /* bytes that could not be written since it last worked */
        char name[FILE_NAME_SIZE];
} FileStream;

struct FileSink {
        Spool spool;
        char *folder;
        bool reopen; /* atomic: asked for by the loop */
        int error;   /* atomic: for the loop, see file_sink_error() */
        int news_fd; /* eventfd */

        /* Of the thread */
        FileStream *open; /* utlist, the longest unused first */
        size_t n_open;
        usec_t failure_logged; /* 0: never */
        uint64_t n_failures;   /* not logged since */
};

static void close_file(FileSink *s, FileStream *stream) {
        if (stream->fd < 0)
                return;

        DL_DELETE(s->open, stream);
        s->n_open--;
        stream->fd = safe_close(stream->fd);
}

static void close_files(FileSink *s) {
        while (s->open)
                close_file(s, s->open);
}

/* A file of our own: neither a link to another, nor a device or pipe that would keep us. */
static int open_in_folder(const FileSink *s, const FileStream *stream) {
        struct stat st;

        _cleanup_close_ int folder = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return -errno;

        _cleanup_close_ int fd = openat(folder, stream->name,
                                        O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
                                                O_CLOEXEC,
                                        stream->mode);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EEXIST;

        /* Mode= counts and not the umask, but only for a file that is new. */
        if (st.st_size == 0)
                (void) fchmod(fd, stream->mode);

        return TAKE_FD(fd);
}

static int open_file(FileSink *s, FileStream *stream) {
        if (stream->fd >= 0) { /* the last that was used */
                DL_DELETE(s->open, stream);
                DL_APPEND(s->open, stream);
                return 0;
        }

        if (s->n_open >= FILE_SINK_OPEN_MAX)
                close_file(s, s->open);

        int fd = open_in_folder(s, stream);
        if (fd == -EMFILE || fd == -ENFILE) {
                close_files(s);
                fd = open_in_folder(s, stream);
        }
        if (fd < 0)
                return fd;

        stream->fd = fd;
        DL_APPEND(s->open, stream);
        s->n_open++;
        return 0;
}

/* Returns: how many bytes have been written, *ret_error why not all. */
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

static void log_failure(FileSink *s, const FileStream *stream, int error) {
        const LogFields fields = {.message_id = VSPC_MESSAGE_LOG_FILE_FAILED};
        usec_t now = now_monotonic();

        s->n_failures++;
        if (s->failure_logged > 0 && now - s->failure_logged < FAILURE_LOG_INTERVAL_USEC)
                return;

        log_full(LOG_ERR, error, &fields,
                 "Cannot write %s/%s: %m. Consoles go on, without what cannot be written (%" PRIu64
                 " %s since this was last logged)",
                 s->folder, stream->name, s->n_failures, s->n_failures == 1 ? "failure" : "failures");
        s->n_failures = 0;
        s->failure_logged = now;
}

/* Whether it says something of one file only, such as a link in its place. */
static bool is_of_one_file(int error) {
        return error == -ELOOP || error == -EEXIST || error == -EISDIR || error == -ENXIO;
}

static void set_error(FileSink *s, int error) {
        if (!is_of_one_file(error) && __atomic_exchange_n(&s->error, error, __ATOMIC_RELAXED) != error)
                (void) eventfd_write(s->news_fd, 1);
}

static void report_missing(FileStream *stream) {
        if (stream->n_missing > 0)
                console_label_log_gap(stream->label, TAKE(stream->n_missing, 0), stream->name);
}

static void file_write(Spool *spool, SpoolStream *spool_stream, const uint8_t *data, size_t n) {
        FileSink *s = container_of(spool, FileSink, spool);
        FileStream *stream = container_of(spool_stream, FileStream, spool);
        size_t written = 0;

        if (__atomic_exchange_n(&s->reopen, false, __ATOMIC_ACQUIRE))
                close_files(s);

        int r = open_file(s, stream);
        if (r >= 0)
                written = write_all(stream->fd, data, n, &r);

        stream->n_missing += n - written;
        set_error(s, MIN(r, 0));
        if (r >= 0) {
                report_missing(stream);
                return;
        }

        /* Opened anew with what comes next: it may be another file by then. */
        close_file(s, stream);
        log_failure(s, stream, r);
}

static void file_gap(_unused_ Spool *spool, SpoolStream *spool_stream, uint64_t n) {
        FileStream *stream = container_of(spool_stream, FileStream, spool);

        stream->n_missing += n;
        if (stream->fd >= 0) /* it works */
                report_missing(stream);
}

static void file_end(Spool *spool, SpoolStream *spool_stream) {
        FileStream *stream = container_of(spool_stream, FileStream, spool);

        close_file(container_of(spool, FileSink, spool), stream);
        report_missing(stream);
        console_label_unref(stream->label);
        free(stream);
}

static usec_t file_idle(Spool *spool, _unused_ usec_t now) {
        FileSink *s = container_of(spool, FileSink, spool);

        if (__atomic_exchange_n(&s->reopen, false, __ATOMIC_ACQUIRE))
                close_files(s);

        return USEC_INFINITY;
}

int file_sink_new(const char *folder, FileSink **ret) {
        static const SpoolSink sink = {"vspcd-files", file_write, file_gap, file_end, file_idle};

        _cleanup_free_ char *copy = strdup(folder);
        _cleanup_free_ FileSink *s = calloc(1, sizeof(FileSink));
        if (!s || !copy)
                return -ENOMEM;

        _cleanup_close_ int news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (news_fd < 0)
                return -errno;

        s->news_fd = news_fd;
        int r = spool_start(&s->spool, &sink);
        if (r < 0)
                return r;

        TAKE_FD(news_fd);
        s->folder = TAKE_PTR(copy);
        *ret = TAKE_PTR(s);
        return 0;
}

void file_sink_stop(FileSink *s) {
        spool_stop(&s->spool);
}

FileSink *file_sink_free(FileSink *s, usec_t deadline) {
        if (spool_join(&s->spool, deadline) < 0) {
                log_warning("%s does not take what is written: the last of the consoles' output is not logged",
                            s->folder);
                return NULL;
        }

        safe_close(s->news_fd);
        free(s->folder);
        free(s);
        return NULL;
}

int file_sink_error(const FileSink *s) {
        return __atomic_load_n(&s->error, __ATOMIC_RELAXED);
}

int file_sink_news_fd(const FileSink *s) {
        return s->news_fd;
}

Spool *file_sink_spool(FileSink *s) {
        return &s->spool;
}

SpoolStream *file_sink_open(FileSink *s, ConsoleLabel *label, const char *prefix, mode_t mode) {
        _cleanup_free_ FileStream *stream = calloc(1, sizeof(FileStream));

        if (!stream || spool_open(&s->spool, &stream->spool, sizeof(FileStream) + label->size) < 0)
                return NULL;

        stream->label = console_label_ref(label);
        stream->mode = mode;
        stream->fd = -1;
        file_name_make(prefix, label->name, label->uuid, stream->name);
        return &TAKE_PTR(stream)->spool;
}

void file_sink_reopen(FileSink *s) {
        __atomic_store_n(&s->reopen, true, __ATOMIC_RELEASE);
        spool_poke(&s->spool);
}
