/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=file: all mappings in one text file, one on each line (mapping-line.h), and in memory as in Backend=memory.
 * A change appends a line to the file; a later line replaces an earlier one with the same ID.
 *
 * From time to time the file is rewritten from memory without outdated lines, under a temporary name that is then
 * renamed, so that at any moment, also after a power cut, either the old or the new file exists. This happens at the
 * first change after a start, so that nothing is appended to the file of an earlier run; when most lines are
 * outdated; and after an error: of a write, of fsync(), or if somebody has removed the file. file_sync() does this in
 * the thread of WriteQueue, once for all changes that have been made until then; only at the very first start it is
 * done at once.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "basic/buffer.h"
#include "basic/fd.h"
#include "basic/log.h"
#include "mapping-folder.h"
#include "mapping-line.h"
#include "store.h"

#define STATE_DIRECTORY_DEFAULT "/var/lib/vspc"

#define FILE_NAME "vm-ports"
#define TEMPORARY "." FILE_NAME ".new"

/* The first line, with the version of the format, and one for people */
#define MAGIC "vspc-mappings "
#define HEADER MAGIC "1"
#define NOTE "# One VM a line. See FILES in vspc.conf(5) before you change anything, and stop vspc.service first."

/* The bytes of outdated lines that the file may contain, in addition to its size when it was last rewritten */
#define OUT_OF_DATE_MAX (1024U * 1024U)

/* The size of a write when the file is rewritten */
#define PIECE_SIZE 65536U

/* Damaged files are kept as NAME.damaged, NAME.damaged.2 and so on; the last one is overwritten. */
#define ASIDE_MAX 16U
#define ASIDE_NAME_MAX 64U

/* The maximum of invalid lines that are logged; further ones are only counted. */
#define PROBLEMS_LOGGED_MAX 100U

typedef struct FileStore {
        int folder_fd;
        char *folder; /* its path, for messages */
        void *table;  /* of Backend=memory */

        int fd;        /* of the file; -1: nothing is appended until file_sync() has rewritten it */
        uint64_t size; /* size of the file, which is rewritten when it exceeds the limit */
        uint64_t limit;

        bool keep; /* keep the existing file under another name when it is replaced */

        unsigned n_lines, n_problems; /* read at the start */
        bool ordered; /* and nothing else is in memory */
} FileStore;

static void file_close(void *state) {
        FileStore *s = state;

        if (s->table)
                store_memory.close(s->table);
        safe_close(s->fd);
        safe_close(s->folder_fd);
        free(s->folder);
        free(s);
}

static inline void file_closep(FileStore **s) {
        if (*s)
                file_close(*s);
}

/* Finds a free name. Only we create files in this folder. */
static void name_aside(const FileStore *s, const char *name, const char *what, char ret[static ASIDE_NAME_MAX]) {
        snprintf(ret, ASIDE_NAME_MAX, "%s.%s", name, what);
        for (unsigned i = 2; i <= ASIDE_MAX && faccessat(s->folder_fd, ret, F_OK, AT_SYMLINK_NOFOLLOW) >= 0; i++)
                snprintf(ret, ASIDE_NAME_MAX, "%s.%s.%u", name, what, i);
}

/* Gives the existing file a second name, so that there is always a file in its place. */
static int keep_aside(FileStore *s) {
        char name[ASIDE_NAME_MAX];

        name_aside(s, FILE_NAME, "damaged", name);
        (void) unlinkat(s->folder_fd, name, 0);
        if (linkat(s->folder_fd, FILE_NAME, s->folder_fd, name, 0) >= 0)
                log_warning("%s/" FILE_NAME " is rewritten, the previous file is kept as %s", s->folder, name);
        else if (errno != ENOENT)
                return -errno;

        s->keep = false;
        return 0;
}

/* Writing */

typedef struct Writer {
        int fd;
        uint64_t size; /* written */
        Buffer piece;  /* to be written next */
} Writer;

static int writer_flush(Writer *w) {
        int r = fd_write_all(w->fd, buffer_data(&w->piece), w->piece.size);

        w->size += w->piece.size;
        buffer_consume(&w->piece, w->piece.size);
        return r;
}

static int write_mapping(const Mapping *m, void *userdata) {
        Writer *w = userdata;
        char line[MAPPING_LINE_MAX];

        int n = mapping_line_format(m, line);
        int r = n < 0 ? n : buffer_append(&w->piece, line, (size_t) n);
        return r >= 0 && w->piece.size >= PIECE_SIZE ? writer_flush(w) : r;
}

static int write_all(const FileStore *s, Writer *w) {
        int r = buffer_append(&w->piece, HEADER "\n" NOTE "\n", strlen(HEADER "\n" NOTE "\n"));
        if (r >= 0)
                r = store_memory.load(s->table, write_mapping, w);
        if (r >= 0)
                r = writer_flush(w);
        if (r >= 0 && fsync(w->fd) < 0)
                r = -errno;

        buffer_clear(&w->piece);
        return r;
}

/* If anything fails, the existing file is not touched. */
static int rewrite(FileStore *s) {
        (void) unlinkat(s->folder_fd, TEMPORARY, 0); /* from before a crash */
        _cleanup_close_ int fd = openat(s->folder_fd, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
        if (fd < 0)
                return -errno;

        Writer w = {.fd = fd, .piece = BUFFER_INIT(PIECE_SIZE + MAPPING_LINE_MAX)};
        int r = write_all(s, &w);
        if (r >= 0 && s->keep)
                r = keep_aside(s);
        if (r >= 0 && renameat(s->folder_fd, TEMPORARY, s->folder_fd, FILE_NAME) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(s->folder_fd, TEMPORARY, 0);
                return r;
        }

        s->fd = safe_close(s->fd);
        if (fsync(s->folder_fd) < 0)
                return -errno;

        s->fd = TAKE_FD(fd);
        s->size = w.size;
        s->limit = 2 * w.size + OUT_OF_DATE_MAX;
        return 0;
}

/* @line: the line of a change that has already been made in memory */
static int append(FileStore *s, const char *line, int n) {
        if (s->fd < 0)
                return 0;

        int r = fd_write_all(s->fd, line, (size_t) n);
        if (r < 0)
                s->fd = safe_close(s->fd);

        s->size += (uint64_t) n;
        return r;
}

static int file_put(void *state, const Mapping *mapping) {
        FileStore *s = state;
        char line[MAPPING_LINE_MAX];

        int n = mapping_line_format(mapping, line);
        int r = n < 0 ? n : store_memory.put(s->table, mapping);
        return r >= 0 ? append(s, line, n) : r;
}

static int file_remove(void *state, const char *id) {
        FileStore *s = state;
        char line[MAPPING_LINE_MAX];

        int n = mapping_line_format(&(Mapping){.id = id}, line);
        int r = n < 0 ? n : store_memory.remove(s->table, id);
        return r >= 0 ? append(s, line, n) : r;
}

static bool is_in_place(const FileStore *s) {
        struct stat ours, there;

        return fstat(s->fd, &ours) >= 0 &&
               fstatat(s->folder_fd, FILE_NAME, &there, AT_SYMLINK_NOFOLLOW) >= 0 &&
               ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* The kernel drops data that it could not write: a later fsync() would succeed although the data was not written. */
static int sync_file(FileStore *s) {
        if (fsync(s->fd) >= 0)
                return 0;

        int r = -errno;
        s->fd = safe_close(s->fd);
        return r;
}

static int file_sync(void *state) {
        FileStore *s = state;

        if (s->fd >= 0 && !is_in_place(s)) {
                s->keep = true; /* a file that somebody has put there */
                s->fd = safe_close(s->fd);
        }
        if (s->fd < 0)
                return rewrite(s);

        int r = sync_file(s);
        if (r < 0 || s->size <= s->limit)
                return r;

        r = rewrite(s);
        if (r >= 0 || s->fd < 0)
                return r;

        log_warning_errno(r, "Cannot rewrite %s/" FILE_NAME " without outdated lines, keeping it: %m",
                          s->folder);
        s->limit = s->size + OUT_OF_DATE_MAX;
        return 0;
}

/* Reading */

static void log_problem(FileStore *s, const char *problem) {
        s->keep = true;
        if (s->n_problems++ < PROBLEMS_LOGGED_MAX)
                log_warning("%s/" FILE_NAME ":%u: this line is ignored: %s", s->folder, s->n_lines, problem);
}

static int take_header(FileStore *s, const char *line) {
        if (streq(line, HEADER))
                return 0;
        if (strncmp(line, MAGIC, strlen(MAGIC)) != 0) {
                log_problem(s, "the first line is not \"" HEADER "\"");
                return 0;
        }

        log_error("%s/" FILE_NAME " is of another version of vspcd: its first line is not \"" HEADER "\"", s->folder);
        return -EPROTONOSUPPORT;
}

static int take_line(FileStore *s, const uint8_t *data, size_t n) {
        const char *problem = "it is too long";
        char line[MAPPING_LINE_MAX];
        Mapping m;

        s->n_lines++;
        if (n < sizeof line) {
                memcpy(line, data, n);
                line[n] = 0;
                if (s->n_lines == 1)
                        return take_header(s, line);
                if (n == 0 || *line == '#')
                        return 0;
        }

        if (n >= sizeof line || mapping_line_parse(line, n, &m, &problem) < 0) {
                log_problem(s, problem);
                return 0;
        }

        if (m.name)
                return store_memory.put(s->table, &m);

        int r = store_memory.remove(s->table, m.id);
        return r == -ENOENT ? 0 : r;
}

/* Without a newline within MAPPING_LINE_MAX bytes, the line is too long. */
static int take_lines(FileStore *s, Buffer *text) {
        int r = 0;

        while (r >= 0 && text->size > 0) {
                const uint8_t *data = buffer_data(text), *end = memchr(data, '\n', text->size);
                size_t n = end ? (size_t) (end - data) : text->size;

                if (!end && n < MAPPING_LINE_MAX)
                        break;
                r = take_line(s, data, n);
                buffer_consume(text, n + !!end);
        }

        return r;
}

static int read_file(FileStore *s) {
        _cleanup_close_ int fd = openat(s->folder_fd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        _cleanup_(buffer_clear) Buffer text = BUFFER_INIT(2 * MAPPING_LINE_MAX);
        ssize_t n = 1;
        int r = 0;

        if (fd < 0)
                return -errno;

        while (r >= 0 && n > 0) {
                uint8_t *p = buffer_reserve(&text, MAPPING_LINE_MAX);
                if (!p)
                        return -ENOMEM;

                n = read(fd, p, MAPPING_LINE_MAX);
                if (n < 0)
                        return -errno; /* if only a part of the file were read, the other VMs would lose their ports */
                buffer_commit(&text, (size_t) n);
                r = take_lines(s, &text);
        }

        if (text.size > 0)
                log_info("%s/" FILE_NAME ": ignoring the incomplete last line, probably due to a power cut", s->folder);
        if (s->n_problems > PROBLEMS_LOGGED_MAX)
                log_warning("%s/" FILE_NAME ": %u more lines are ignored", s->folder,
                            s->n_problems - PROBLEMS_LOGGED_MAX);

        return r;
}

/* It is kept in case somebody goes back to an earlier version. */
static int rename_old_folder(FileStore *s) {
        char name[ASIDE_NAME_MAX];

        name_aside(s, MAPPING_FOLDER, "old", name);
        if (renameat(s->folder_fd, MAPPING_FOLDER, s->folder_fd, name) < 0)
                return -errno;

        log_notice("%s/" FILE_NAME " replaces the folder " MAPPING_FOLDER ", which is now called %s",
                   s->folder, name);
        return 0;
}

static int read_all(FileStore *s) {
        int folder = mapping_folder_load(s->folder_fd, s->folder, store_memory.put, s->table);
        if (folder < 0 && folder != -ENOENT)
                return folder;

        s->ordered = folder < 0;

        int file = read_file(s);
        if (file < 0 && file != -ENOENT)
                return file;
        if (file >= 0 && folder < 0)
                return 0; /* the usual case */

        int r = rewrite(s);
        if (r >= 0 && folder >= 0)
                r = rename_old_folder(s);
        if (r >= 0 || (file < 0 && folder < 0))
                return r;

        log_warning_errno(r, "Cannot take over the folder %s/" MAPPING_FOLDER " completely, trying again at the next start: "
                             "%m", s->folder);
        return 0;
}

/* The first folder in $STATE_DIRECTORY (systemd.exec(5)) */
static char *state_directory(void) {
        const char *list = getenv("STATE_DIRECTORY");

        return list && *list ? strndup(list, strcspn(list, ":")) : strdup(STATE_DIRECTORY_DEFAULT);
}

static int open_folder(FileStore *s) {
        s->folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->folder_fd < 0)
                return log_error_errno(errno, "Cannot open the folder %s (StateDirectory= in the unit, $STATE_DIRECTORY or "
                                              "Backend=file:FOLDER says where it is): %m", s->folder);

        /* Two vspcd with the same file would change each other's ports. */
        if (flock(s->folder_fd, LOCK_EX | LOCK_NB) >= 0)
                return 0;
        if (errno != EWOULDBLOCK)
                return log_error_errno(errno, "Cannot lock the folder %s: %m", s->folder);

        return log_error_errno(EBUSY, "The folder %s is in use by another vspcd: give this one another, as in "
                                      "Backend=file:FOLDER, or Backend=memory to try it out", s->folder);
}

static int file_open(const char *argument, void **ret_state) {
        _cleanup_(file_closep) FileStore *s = calloc(1, sizeof(FileStore));
        if (!s)
                return -ENOMEM;

        s->fd = s->folder_fd = -1;
        s->folder = *argument ? strdup(argument) : state_directory();
        if (!s->folder)
                return -ENOMEM;

        int r = open_folder(s);
        if (r < 0)
                return r;

        r = store_memory.open("", &s->table);
        if (r >= 0)
                r = read_all(s);
        if (r < 0)
                return log_error_errno(r, "Cannot read or make the file %s/" FILE_NAME ": %m", s->folder);

        *ret_state = TAKE_PTR(s);
        return 0;
}

/* If two lines have the same port, the later line must win, even if the clock was set back in between: so the time
 * of the earlier one is limited to that of the later one. */
typedef struct Load {
        uint64_t stored[UINT16_MAX + 1]; /* time of the last line with this port */
        VspcMappingHandler handler;
        void *userdata;
} Load;

static int note_claim(const Mapping *mapping, void *userdata) {
        Load *l = userdata;

        l->stored[mapping->port] = mapping->stored;
        return 0;
}

static int load_one(const Mapping *mapping, void *userdata) {
        Load *l = userdata;
        Mapping m = *mapping;

        if (m.port > 0)
                m.stored = MIN(m.stored, l->stored[m.port]);
        return l->handler(&m, l->userdata);
}

static int file_load(void *state, VspcMappingHandler handler, void *userdata) {
        FileStore *s = state;

        if (!s->ordered)
                return store_memory.load(s->table, handler, userdata);

        _cleanup_free_ Load *l = calloc(1, sizeof(Load));
        if (!l)
                return -ENOMEM;

        l->handler = handler;
        l->userdata = userdata;
        int r = store_memory.load(s->table, note_claim, l);
        return r >= 0 ? store_memory.load(s->table, load_one, l) : r;
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
