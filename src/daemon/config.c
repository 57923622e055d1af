/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glob.h>
#include <ini.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "access-section.h"
#include "basic/log.h"
#include "basic/text.h"
#include "config-key.h"

#define BACKEND_DEFAULT "file"

/* Bytes of a bad word in [Access] */
#define ACCESS_SHOWN_MAX 128U

/* In the order of precedence */
static const char *const config_folders[] = {"/etc/vspc", "/run/vspc", "/usr/lib/vspc"};

/* What vSPC.py's users have in the environment: a default for a key of [Concentrator]. */
static const struct {
        const char *variable, *key;
        const char *wants; /* completes "must be …" */
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
        *c = (Config){.hook_timeout_usec = 30 * USEC_PER_SEC};
        settings_init(&c->settings);
        rights_init(&c->rights);
        strcpy(c->backend, BACKEND_DEFAULT);
        console_log_settings_init(&c->console_log);
}

void config_init(Config *c, Problems *p) {
        set_built_in(c);
        for (size_t i = 0; i < ELEMENTSOF(environment); i++)
                if (take_variable(c, i) < 0)
                        problems_warn(p, "Environment: %s= must be %s, not \"%s\"", environment[i].variable,
                                      environment[i].wants, getenv(environment[i].variable));
}

void config_done(Config *c) {
        settings_done(&c->settings);
        console_log_settings_done(&c->console_log);
        tls_settings_done(&c->tls);
        rights_done(&c->rights);
}

int config_copy(const Config *c, Config *ret) {
        Config copy;

        set_built_in(&copy);
        int r = config_key_foreach(config_key_copy, &copy, c);
        if (r >= 0)
                r = rights_copy(&c->rights, &copy.rights);
        if (r < 0) {
                config_done(&copy);
                return r;
        }

        copy.bad_keys = c->bad_keys;
        *ret = copy;
        return 0;
}

/* Where the reader is, for messages */
typedef struct Reader {
        Config *config;
        Problems *problems;
        const char *name;
        FILE *file;
        unsigned line;
        size_t size;
        bool in_tls;   /* the line is in [TLS], or in what may have been meant to be that */
        bool in_access; /* the same for [Access] */
        bool access_open; /* assignments belong to the last section of config->rights */
        bool indented; /* the line is, and for inih goes on with the value above it */
        bool pending; /* the line has to be an assignment, and has not been one yet */
        int error;
} Reader;

/* Of a line of which it is not known what it says */
static void refuse_line(Reader *r, const char *format, ...) _printf_(2, 3);
static void refuse_line(Reader *r, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *text = text_format_va(format, ap);
        va_end(ap);

        if (r->in_tls || r->in_access)
                problems_doubt(r->problems, r->in_tls ? DOOR_ALL : DOOR_ANONYMOUS, "%s:%u: %s", r->name, r->line,
                               text ?: "Out of memory");
        else
                problems_warn(r->problems, "%s:%u: %s, ignoring it", r->name, r->line, text ?: "Out of memory");
}

/* However it is written */
static bool is_section(const char *section, const char *meant) {
        static const char blanks[] = " \t";
        size_t n = strlen(meant);

        section += strspn(section, blanks);
        return strncasecmp(section, meant, n) == 0 && !section[n + strspn(section + n, blanks)];
}

static bool is_of_tls(const ConfigKey *key) {
        return streq(key->section, CONFIG_SECTION_TLS);
}

/* It may be a key of [TLS] in the wrong place, or below a section that was to be [TLS]. */
static void refuse_key(Reader *r, const char *section, const char *name, bool section_known) {
        const ConfigKey *meant = config_key_guess(name, strlen(name));
        const char *access = access_key_guess(name, strlen(name));

        if (meant && is_of_tls(meant))
                problems_doubt(r->problems, meant->doors, "%s:%u: %s= belongs in section [TLS], written like this", r->name,
                               r->line, meant->name);
        else if (is_section(section, CONFIG_SECTION_TLS))
                problems_doubt(r->problems, DOOR_ALL, "%s:%u: Unknown key %s= in section [%s]", r->name, r->line, name,
                               section);
        else if (access)
                problems_doubt(r->problems, DOOR_ANONYMOUS, "%s:%u: %s= belongs in a section [Access], written like this",
                               r->name, r->line, access);
        else if (is_section(section, CONFIG_SECTION_ACCESS))
                problems_doubt(r->problems, DOOR_ANONYMOUS, "%s:%u: Unknown key %s= in section [%s]", r->name, r->line,
                               name, section);
        else if (section_known)
                problems_warn(r->problems, "%s:%u: Unknown key %s= in section [%s], ignoring it", r->name, r->line, name,
                              section);
        else if (*section)
                problems_warn(r->problems, "%s:%u: Unknown section [%s], ignoring %s= in it", r->name, r->line, section,
                              name);
        else
                problems_warn(r->problems, "%s:%u: %s= is before the first section, it belongs below [Concentrator]", r->name,
                              r->line, name);
}

static void refuse_value(Reader *r, const ConfigKey *key, const char *value) {
        size_t n = config_key_shown(key, value);
        const char *rest = value[n] ? "…" : "";

        if (is_of_tls(key))
                problems_doubt(r->problems, key->doors, "%s:%u: %s= must be %s, not \"%.*s%s\"", r->name, r->line, key->name,
                               key->wants, (int) n, value, rest);
        else
                problems_warn(r->problems, "%s:%u: %s= must be %s, not \"%.*s%s\", ignoring it", r->name, r->line, key->name,
                              key->wants, (int) n, value, rest);
}

/* An empty value takes back what was assigned before. There is no text among the defaults, so memory is not needed. */
static void take_back(Config *c, const ConfigKey *key) {
        Config defaults;

        set_built_in(&defaults);
        for (size_t i = 0; i < ELEMENTSOF(environment); i++)
                (void) take_variable(&defaults, i); /* what is wrong with it has been logged */

        (void) config_key_copy(key, c, &defaults);
}

/*
 * Sections [Access]
 */

/* Where a section is not certain to be what was meant, nothing more is added to it. */
static void close_access(Reader *r) {
        const char *missing = TAKE(r->access_open, false) ? access_missing_key(&r->config->rights) : NULL;
        const Rights *rights = &r->config->rights;

        if (missing)
                problems_doubt(r->problems, DOOR_ANONYMOUS, "%s: %s= is missing in this section [Access]",
                               rights->sections[rights->n_sections - 1].place, missing);
}

static void open_access(Reader *r) {
        _cleanup_free_ char *place = NULL;

        int k = asprintf(&place, "%s:%u", r->name, r->line) < 0 ? -ENOMEM : rights_begin_section(&r->config->rights, place);
        if (k == -ENOMEM)
                r->error = k;
        else if (k < 0)
                problems_doubt(r->problems, DOOR_ANONYMOUS, "%s:%u: There are more than %u sections [Access]", r->name, r->line,
                               RIGHTS_SECTIONS_MAX);
        r->access_open = k >= 0;
}

static void refuse_access_value(Reader *r, const char *key, const char *value, const char *wants, const char *bad) {
        const char *shown = bad ?: value;
        size_t n = text_fit(shown, ACCESS_SHOWN_MAX);

        problems_doubt(r->problems, DOOR_ANONYMOUS, "%s:%u: %s= must be %s, not \"%.*s%s\"", r->name, r->line, key, wants,
                       (int) n, shown, shown[n] ? "…" : "");
}

static void take_access(Reader *r, const char *key, const char *value) {
        _cleanup_free_ char *bad = NULL;
        Rights *rights = &r->config->rights;
        const char *wants;

        if (!r->access_open)
                return; /* why has been said */

        if (r->indented && !access_key_is_list(key)) {
                refuse_line(r, "The line is indented, but the value of %s= cannot have a second line", key);
                return;
        }

        Right *may = &rights->sections[rights->n_sections - 1].may;
        if (streq(key, "May") && *value && *may != RIGHT_NONE) {
                refuse_line(r, "May= is given twice: each section begins with a line [Access]");
                *may = RIGHT_NONE;
                r->access_open = false;
                return;
        }

        int k = access_assign(rights, key, value, &wants, &bad);
        if (k == -ENOMEM)
                r->error = k;
        else if (k == -ENOKEY)
                refuse_key(r, CONFIG_SECTION_ACCESS, key, true);
        else if (k == -E2BIG)
                refuse_line(r, "There are more than %u words in the sections [Access], or one of more than %u bytes",
                            RIGHTS_WORDS_MAX, RIGHTS_WORD_SIZE_MAX - 1);
        else if (k < 0)
                refuse_access_value(r, key, value, wants, bad);
}

static int on_assignment(void *userdata, const char *section, const char *name, const char *value) {
        Reader *r = userdata;
        bool section_known;

        r->pending = false;
        const ConfigKey *key = config_key_find(section, name, &section_known);

        if (streq(section, CONFIG_SECTION_ACCESS))
                take_access(r, name, value ?: "");
        else if (!key)
                refuse_key(r, section, name, section_known);
        else if (is_of_tls(key) && r->indented) /* who knows what it was meant to be */
                refuse_line(r, "The line is indented, but the value of %s= cannot have a second line", key->name);
        else if (!value || !*value)
                take_back(r->config, key);
        else {
                int k = config_key_assign(key, r->config, value);

                if (k == -ENOMEM)
                        r->error = k;
                else if (k < 0)
                        refuse_value(r, key, value);
        }

        return 1;
}

/* inih tells only which was the first line that it could make nothing of. */
static void check_pending(Reader *r) {
        if (TAKE(r->pending, false))
                refuse_line(r, "The line is neither a [Section] nor Key=Value");
}

/* An indented line goes on with the value above it, for inih. For systemd indentation means nothing: so it is with what
 * cannot have been meant to be a part of a value. */
static void unindent(char *line) {
        const char *start = line + strspn(line, " \t\r\v\f");
        size_t n = strcspn(start, " \t=:");
        const char *behind = start + n + strspn(start + n, " \t");

        bool section = *start == '[' && strchr(start, ']');
        bool assignment = (*behind == '=' || *behind == ':') && (config_key_guess(start, n) || access_key_guess(start, n));
        if (section || assignment)
                memmove(line, start, strlen(start) + 1);
}

/* Returns: whether the line is as it should be: inih takes no notice of what follows behind the section's name. */
static bool enter_section(Reader *r, const char *line) {
        const char *end = strchr(line, ']'), *behind = end ? end + 1 + strspn(end + 1, " \t\r\v\f") : "";

        bool good = end && (!*behind || strchr(";#", *behind));

        /* inih stays in the section before if this line is not good. */
        r->in_tls = strcasestr(line, CONFIG_SECTION_TLS);
        r->in_access = strcasestr(line, CONFIG_SECTION_ACCESS) || (!good && r->in_access);
        close_access(r);
        if (good && strncmp(line + 1, CONFIG_SECTION_ACCESS "]", strlen(CONFIG_SECTION_ACCESS "]")) == 0)
                open_access(r);

        return good;
}

static bool wants_assignment(Reader *r, const char *line) {
        static const char bom[] = "\xef\xbb\xbf";

        if (r->line == 1 && strncmp(line, bom, strlen(bom)) == 0)
                line += strlen(bom);

        line += strspn(line, " \t\r\v\f");
        if (*line == '[')
                return !enter_section(r, line);

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
                refuse_line(r, "The line is longer than %d bytes", size - 2);
        else if (has_nul)
                refuse_line(r, "The line contains a NUL byte");
        if (n > size - 2 || has_nul)
                buffer[0] = 0;

        if (r->size > CONFIG_FILE_SIZE_MAX) {
                problems_doubt(r->problems, DOOR_EVERY, "%s:%u: The file is larger than %u bytes: the rest is not read",
                               r->name, r->line, CONFIG_FILE_SIZE_MAX);
                return NULL;
        }

        unindent(buffer);
        r->indented = *buffer && strchr(" \t\r\v\f", *buffer);
        r->pending = wants_assignment(r, buffer);
        return buffer;
}

/* To be called when all files have been read: one may give one end of the range, another the other. Both ends are then
 * those of @good. */
static void check_range(Config *c, const Config *good, const char *name, Problems *p) {
        Settings *s = &c->settings;
        bool section_known;

        if (s->vm_port_range_start <= s->vm_port_range_end)
                return;

        problems_warn(p, "%s: VMPortRangeStart=%u is beyond VMPortRangeEnd=%u, ignoring both", name, s->vm_port_range_start,
                      s->vm_port_range_end);
        s->vm_port_range_start = good->settings.vm_port_range_start;
        s->vm_port_range_end = good->settings.vm_port_range_end;
        config_key_set_bad(config_key_find("Concentrator", "VMPortRangeStart", &section_known), c);
        config_key_set_bad(config_key_find("Concentrator", "VMPortRangeEnd", &section_known), c);
}

static void check_range_alone(Config *c, const char *name, Problems *p) {
        Config defaults;

        set_built_in(&defaults);
        check_range(c, &defaults, name, p);
}

static int keep_if_bad(const ConfigKey *key, Config *c, const Config *before) {
        return config_key_is_bad(key, c) ? config_key_copy(key, c, before) : 0;
}

int config_keep(Config *c, const Config *before, Problems *p) {
        int r = config_key_foreach(keep_if_bad, c, before);
        if (r < 0)
                return r;

        check_range(c, before, "Together with the previous configuration", p);
        return 0;
}

static int load_stream(Config *c, const char *name, FILE *file, Problems *p) {
        Reader r = {.config = c, .problems = p, .name = name, .file = file};

        if (ini_parse_stream(read_line, &r, on_assignment, &r) < 0)
                return -ENOMEM;

        check_pending(&r);
        close_access(&r);
        return r.error;
}

const char *config_strerror(int error) {
        return error == -EMEDIUMTYPE ? "It is not a regular file" : strerror(-error);
}

/* A FIFO would be waited for, for ever. With a link to /dev/null a file is masked. */
static int open_file(const char *path, FILE **ret) {
        struct stat st;

        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode) && !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
                return -EMEDIUMTYPE;

        FILE *file = fdopen(fd, "r");
        if (!file)
                return -errno;

        TAKE_FD(fd);
        *ret = file;
        return 0;
}

static int load_file(Config *c, const char *path, Problems *p) {
        FILE *file = NULL;

        int r = open_file(path, &file);
        if (r < 0)
                return r;

        r = load_stream(c, path, file, p);
        fclose(file);
        return r;
}

int config_load_text(Config *c, const char *name, const char *text, size_t size, Problems *p) {
        /* fmemopen() takes no empty buffer. */
        if (size == 0)
                return 0;

        FILE *file = fmemopen((void *) text, size, "r");
        if (!file)
                return -errno;

        int r = load_stream(c, name, file, p);
        fclose(file);
        check_range_alone(c, name, p);
        return r;
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

/* Of what is in it nothing is known. */
static void refuse_file(const char *path, int error, Problems *p) {
        problems_doubt(p, DOOR_EVERY, "Cannot read %s: %s", path, config_strerror(-error));
}

/* One that is there but cannot be read is a problem, and so is a link that leads nowhere. Returns: 1 if it is there, 0
 * if not, or -ENOMEM. */
static int load_existing(Config *c, const char *path, Problems *p) {
        struct stat st;

        int r = load_file(c, path, p);
        if (r == -ENOMEM)
                return r;
        if (r == -ENOENT && lstat(path, &st) < 0 && errno == ENOENT)
                return 0;
        if (r < 0)
                refuse_file(path, -r, p);

        return 1;
}

static _Thread_local Problems *glob_problems; /* glob(3) takes no userdata */

static int on_glob_error(const char *path, int error) {
        if (error != ENOENT)
                refuse_file(path, error, glob_problems);

        return 0;
}

static int load_drop_ins(Config *c, char **paths, size_t n, Problems *p) {
        if (n > 0)
                qsort(paths, n, sizeof(char *), compare_paths);

        for (size_t i = 0; i < n; i++) {
                if (i > 0 && streq(file_name(paths[i - 1]), file_name(paths[i])))
                        continue;

                int r = load_existing(c, paths[i], p);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int load_system(Config *c, Problems *p) {
        char path[256];
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(config_folders) && r == 0; i++) {
                snprintf(path, sizeof path, "%s/vspc.conf", config_folders[i]);
                r = load_existing(c, path, p);
        }

        glob_t drop_ins = {};
        glob_problems = p;
        for (size_t i = 0; i < ELEMENTSOF(config_folders) && r >= 0; i++) {
                snprintf(path, sizeof path, "%s/vspc.conf.d/*.conf", config_folders[i]);
                if (glob(path, i > 0 ? GLOB_APPEND : 0, on_glob_error, &drop_ins) == GLOB_NOSPACE)
                        r = -ENOMEM;
        }

        if (r >= 0)
                r = load_drop_ins(c, drop_ins.gl_pathv, drop_ins.gl_pathc, p);
        globfree(&drop_ins);
        return r;
}

int config_load(Config *c, const char *path, Problems *p) {
        int r = path ? load_file(c, path, p) : load_system(c, p);

        check_range_alone(c, path ?: "vspc.conf and its drop-ins", p);
        return r;
}
