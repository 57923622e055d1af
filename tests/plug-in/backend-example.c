/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An example of a backend, to be copied: it stores all mappings in a text file, Backend=example:/path/of/the/file.
 * Build it outside of this tree with
 *
 *     cc -D_GNU_SOURCE -shared -fPIC $(pkg-config --cflags vspc-backend) -o backend-example.so backend-example.c
 *
 * and install it in $(pkg-config --variable=backenddir vspc-backend). vspc-backend.h describes the functions.
 *
 * This backend also keeps everything in memory. put() and remove() only change the memory, and sync() writes the
 * whole file, so that many changes need one write. If writing fails, sync() returns an error and is called again
 * after a while. Searching for a mapping is linear, so thousands of VMs need something better.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vspc-backend.h>

/* A line of the file. Values contain no control characters, so they can be separated by tabs. */
typedef struct Line {
        struct Line *next;
        size_t id_size; /* length of the ID at the beginning of the text */
        char text[];
} Line;

typedef struct Example {
        Line *lines;
        char *path, *temporary;
} Example;

/* Returns: the place of the mapping in the list, or the place where to insert it. */
static Line **find(Example *e, const char *id) {
        size_t n = strlen(id);
        Line **at = &e->lines;

        while (*at && ((*at)->id_size != n || memcmp((*at)->text, id, n) != 0))
                at = &(*at)->next;

        return at;
}

static int line_add(Example *e, const char *text) {
        size_t size = strlen(text) + 1;

        Line *line = malloc(sizeof(Line) + size);
        if (!line)
                return -ENOMEM;

        memcpy(line->text, text, size);
        line->id_size = strcspn(text, "\t");
        line->next = e->lines;
        e->lines = line;
        return 0;
}

static void line_remove(Line **at) {
        Line *line = *at;

        *at = line->next;
        free(line);
}

static void example_close(void *state) {
        Example *e = state;

        while (e->lines)
                line_remove(&e->lines);
        free(e->path);
        free(e->temporary);
        free(e);
}

static int read_lines(Example *e) {
        FILE *file = fopen(e->path, "re");
        size_t allocated = 0;
        char *text = NULL;
        ssize_t n;
        int r = 0;

        if (!file)
                return errno == ENOENT ? 0 : -errno; /* nothing has been written yet */

        while (r >= 0 && (n = getline(&text, &allocated, file)) > 0) {
                text[n - 1] = 0;
                r = line_add(e, text);
        }
        if (r >= 0 && ferror(file))
                r = -EIO;

        free(text);
        fclose(file);
        return r;
}

static int example_open(const char *argument, void **ret_state) {
        if (*argument != '/')
                return -EINVAL;

        Example *e = calloc(1, sizeof(Example));
        if (!e)
                return -ENOMEM;

        e->path = strdup(argument);
        if (asprintf(&e->temporary, "%s.new", argument) < 0)
                e->temporary = NULL;

        int r = e->path && e->temporary ? read_lines(e) : -ENOMEM;
        if (r < 0) {
                example_close(e);
                return r;
        }

        *ret_state = e;
        return 0;
}

/* Modifies @text. Returns: whether the line is valid. */
static bool parse(char *text, VspcMapping *ret) {
        char *field[7];

        for (unsigned i = 0; i < 7; i++)
                field[i] = strsep(&text, "\t");
        if (!field[6])
                return false;

        for (unsigned i = 0; i < 16; i++)
                if (sscanf(field[1] + 2 * i, "%2hhx", &ret->uuid[i]) != 1)
                        return false;

        ret->id = field[0];
        ret->uri = field[2];
        ret->name = field[3];
        ret->port = (uint16_t) strtoul(field[4], NULL, 10);
        ret->gone_since = strtoull(field[5], NULL, 10);
        ret->stored = strtoull(field[6], NULL, 10);
        return true;
}

static int example_load(void *state, VspcMappingHandler handler, void *userdata) {
        Example *e = state;
        int r = 0;

        for (Line *line = e->lines; line && r >= 0; line = line->next) {
                VspcMapping mapping;
                char *text = strdup(line->text);
                if (!text)
                        return -ENOMEM;

                if (parse(text, &mapping))
                        r = handler(&mapping, userdata);
                else
                        fprintf(stderr, "%s: passing over a line that is no mapping: %s\n", e->path, line->text);
                free(text);
        }

        return r < 0 ? r : 0;
}

static int example_put(void *state, const VspcMapping *m) {
        Example *e = state;
        char uuid[33], *text;

        for (unsigned i = 0; i < 16; i++)
                snprintf(uuid + 2 * i, 3, "%02x", m->uuid[i]);
        if (asprintf(&text, "%s\t%s\t%s\t%s\t%u\t%llu\t%llu", m->id, uuid, m->uri, m->name, m->port,
                     (unsigned long long) m->gone_since, (unsigned long long) m->stored) < 0)
                return -ENOMEM;

        Line **at = find(e, m->id);
        if (*at)
                line_remove(at);
        int r = line_add(e, text);
        free(text);
        return r;
}

static int example_remove(void *state, const char *id) {
        Line **at = find(state, id);
        if (!*at)
                return -ENOENT;

        line_remove(at);
        return 0;
}

static int write_lines(const Example *e) {
        FILE *file = fopen(e->temporary, "we");
        if (!file)
                return -errno;

        for (const Line *line = e->lines; line; line = line->next)
                fprintf(file, "%s\n", line->text);

        int r = fflush(file) == 0 && fsync(fileno(file)) == 0 ? 0 : -errno;
        fclose(file);
        return r;
}

/* At any moment, also after a power cut, either the old or the new file exists. */
static int example_sync(void *state) {
        const Example *e = state;

        int r = write_lines(e);
        if (r < 0)
                return r;
        if (rename(e->temporary, e->path) < 0)
                return -errno;

        const char *slash = strrchr(e->path, '/');
        char *folder = strndup(e->path, slash > e->path ? (size_t) (slash - e->path) : 1);
        int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

        r = fd >= 0 && fsync(fd) == 0 ? 0 : -errno;
        if (fd >= 0)
                close(fd);
        free(folder);
        return r;
}

const VspcBackend vspc_backend = {
        .abi = VSPC_BACKEND_ABI,
        .size = sizeof(VspcBackend),
        .name = "example",
        .open = example_open,
        .close = example_close,
        .load = example_load,
        .put = example_put,
        .remove = example_remove,
        .sync = example_sync,
};
