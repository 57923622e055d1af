/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glob.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>

#include "basic/log.h"
#include "basic/text.h"
#include "config-key.h"

#define BACKEND_DEFAULT "file"

/* In the order of precedence */
static const char *const config_folders[] = {"/etc/vspc", "/run/vspc", "/usr/lib/vspc"};

/* What vSPC.py's users have in the environment: a default for a key of [Concentrator]. */
static const struct {
        const char *variable, *key;
        const char *wants; /* completes "wants …" */
} environment[] = {
        {"SUPPORT_MULTI_CONSOLE", "MultiConsole", "true or false"},
        {"VM_CLIENT_LIMIT", "ClientLimit", "a number"},
};

/* Returns: 0, or a negative errno if the variable is no such value, and changes nothing. */
static int take_variable(Config *c, size_t i) {
        const char *value = getenv(environment[i].variable);
        bool section_known;

        if (!value || !*value)
                return 0;

        return config_key_assign(config_key_find("Concentrator", environment[i].key, &section_known), c, value);
}

static void set_built_in(Config *c) {
        settings_init(&c->settings);
        strcpy(c->backend, BACKEND_DEFAULT);
        c->hook_timeout_usec = 30 * USEC_PER_SEC;
        console_log_settings_init(&c->console_log);
        c->tls = (TlsSettings){};
}

void config_init(Config *c) {
        set_built_in(c);
        for (size_t i = 0; i < ELEMENTSOF(environment); i++)
                if (take_variable(c, i) < 0)
                        log_warning("Environment: %s= wants %s, not \"%s\"", environment[i].variable,
                                    environment[i].wants, getenv(environment[i].variable));
}

void config_done(Config *c) {
        settings_done(&c->settings);
        console_log_settings_done(&c->console_log);
        tls_settings_done(&c->tls);
}

/* Where the reader is, for messages */
typedef struct Reader {
        Config *config;
        const char *name;
        FILE *file;
        unsigned line;
        size_t size;
        bool pending; /* the line has to be an assignment, and has not been one yet */
        int error;
        int n_problems;
} Reader;

static void problem(Reader *r, const char *format, ...) _printf_(2, 3);
static void problem(Reader *r, const char *format, ...) {
        _cleanup_free_ char *message = NULL, *clean = NULL;
        va_list ap;

        va_start(ap, format);
        int n = vasprintf(&message, format, ap);
        va_end(ap);
        if (n < 0)
                message = NULL;
        else
                clean = text_sanitize(message, (size_t) n, LOG_MESSAGE_MAX);

        log_warning("%s:%u: %s", r->name, r->line, clean ?: "out of memory");
        r->n_problems++;
}

/* An empty value takes back what was assigned before. */
static void take_back(Config *c, const ConfigKey *key) {
        Config defaults;

        set_built_in(&defaults);
        for (size_t i = 0; i < ELEMENTSOF(environment); i++)
                (void) take_variable(&defaults, i); /* what is wrong with it has been logged */

        config_key_reset(key, c, &defaults);
}

static void refuse_value(Reader *r, const ConfigKey *key, const char *value) {
        size_t n = config_key_shown(key, value);

        problem(r, "%s= wants %s, not \"%.*s%s\", ignoring it", key->name, key->wants, (int) n, value,
                value[n] ? "…" : "");
}

static int on_assignment(void *userdata, const char *section, const char *name, const char *value) {
        Reader *r = userdata;
        bool section_known;

        r->pending = false;
        const ConfigKey *key = config_key_find(section, name, &section_known);

        if (!key) {
                if (section_known)
                        problem(r, "Unknown key %s= in section [%s], ignoring it", name, section);
                else if (*section)
                        problem(r, "Unknown section [%s], ignoring %s= in it", section, name);
                else
                        problem(r, "%s= stands before any section, it belongs below [Concentrator]", name);
        } else if (!value || !*value)
                take_back(r->config, key);
        else if (config_key_assign(key, r->config, value) < 0)
                refuse_value(r, key, value);

        return 1;
}

/* inih tells only which was the first line that it could make nothing of. */
static void check_pending(Reader *r) {
        if (TAKE(r->pending, false))
                problem(r, "This is neither a [Section] nor Key=Value");
}

static bool wants_assignment(const Reader *r, const char *line) {
        static const char bom[] = "\xef\xbb\xbf";

        if (r->line == 1 && strncmp(line, bom, strlen(bom)) == 0)
                line += strlen(bom);

        line += strspn(line, " \t\r\v\f");
        if (*line == '[')
                return !strchr(line, ']');

        return *line && !strchr(";#", *line);
}

/* fgets() that knows the number of the line, and that a line may be too long for inih. */
static char *read_line(char *buffer, int size, void *userdata) {
        Reader *r = userdata;
        bool has_nul = false;
        int n = 0, c;

        check_pending(r);

        while ((c = getc_unlocked(r->file)) != EOF && ++r->size <= CONFIG_FILE_SIZE_MAX && c != '\n') {
                has_nul |= c == 0;
                if (n < size - 1)
                        buffer[n++] = (char) c;
        }

        if (c == EOF && ferror(r->file)) {
                r->error = -errno;
                return NULL;
        }
        if (c == EOF && n == 0)
                return NULL;

        r->line++;
        buffer[n] = 0;
        if (n > size - 2)
                problem(r, "The line is longer than %d bytes, ignoring it", size - 2);
        else if (has_nul)
                problem(r, "The line contains a NUL byte, ignoring it");
        if (n > size - 2 || has_nul)
                buffer[0] = 0;

        if (r->size > CONFIG_FILE_SIZE_MAX) {
                problem(r, "The file is larger than %u bytes, ignoring the rest", CONFIG_FILE_SIZE_MAX);
                return NULL;
        }

        r->pending = wants_assignment(r, buffer);
        return buffer;
}

/* To be called when all files have been read: one may give one end of the range, another the other. */
static int check_range(Config *c, const char *name) {
        Settings *s = &c->settings, defaults;

        if (s->vm_port_range_start <= s->vm_port_range_end)
                return 0;

        settings_init(&defaults);
        log_warning("%s: VMPortRangeStart=%u is beyond VMPortRangeEnd=%u, using %u to %u", name,
                    s->vm_port_range_start, s->vm_port_range_end, defaults.vm_port_range_start,
                    defaults.vm_port_range_end);
        s->vm_port_range_start = defaults.vm_port_range_start;
        s->vm_port_range_end = defaults.vm_port_range_end;
        return 1;
}

static int load_stream(Config *c, const char *name, FILE *file) {
        Reader r = {.config = c, .name = name, .file = file};

        if (ini_parse_stream(read_line, &r, on_assignment, &r) < 0)
                return -ENOMEM;

        check_pending(&r);
        return r.error < 0 ? r.error : r.n_problems;
}

static int load_file(Config *c, const char *path) {
        FILE *file = fopen(path, "re");
        if (!file)
                return -errno;

        int n = load_stream(c, path, file);
        fclose(file);
        return n;
}

int config_load_text(Config *c, const char *name, const char *text, size_t size) {
        /* fmemopen() takes no empty buffer. */
        if (size == 0)
                return 0;

        FILE *file = fmemopen((void *) text, size, "r");
        if (!file)
                return -errno;

        int n = load_stream(c, name, file);
        fclose(file);
        return n < 0 ? n : n + check_range(c, name);
}

int config_load_file(Config *c, const char *path) {
        int n = load_file(c, path);

        return n < 0 ? n : n + check_range(c, path);
}

static const char *file_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* By name; namesakes in the order of precedence, which is that of their folders' names. */
static int compare_paths(const void *a, const void *b) {
        const char *x = *(char *const *) a, *y = *(char *const *) b;

        return strcmp(file_name(x), file_name(y)) ?: strcmp(x, y);
}

/* One that is there but cannot be read is a problem too. */
static int load_existing(Config *c, const char *path, bool *ret_found) {
        int n = load_file(c, path);

        *ret_found = n != -ENOENT;
        if (n >= 0 || n == -ENOENT)
                return MAX(n, 0);

        log_error_errno(n, "Cannot read %s, going on without it: %m", path);
        return 1;
}

int config_load_system(Config *c) {
        int n_problems = 0;
        bool found = false;
        char path[256];

        for (size_t i = 0; i < ELEMENTSOF(config_folders) && !found; i++) {
                snprintf(path, sizeof path, "%s/vspc.conf", config_folders[i]);
                n_problems += load_existing(c, path, &found);
        }

        glob_t drop_ins = {};
        for (size_t i = 0; i < ELEMENTSOF(config_folders); i++) {
                snprintf(path, sizeof path, "%s/vspc.conf.d/*.conf", config_folders[i]);
                (void) glob(path, i > 0 ? GLOB_APPEND : 0, NULL, &drop_ins);
        }

        char **paths = drop_ins.gl_pathv;
        if (drop_ins.gl_pathc > 0)
                qsort(paths, drop_ins.gl_pathc, sizeof(char *), compare_paths);
        for (size_t i = 0; i < drop_ins.gl_pathc; i++)
                if (i == 0 || !streq(file_name(paths[i - 1]), file_name(paths[i])))
                        n_problems += load_existing(c, paths[i], &found);

        globfree(&drop_ins);
        return n_problems + check_range(c, "vspc.conf and its drop-ins");
}
