/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "basic/log.h"
#include "config-key.h"

#define BACKEND_DEFAULT "file"

/* Highest precedence first */
static const char *const config_folders[] = {"/etc/vspc", "/run/vspc", "/usr/lib/vspc"};

/* Environment variables of vSPC.py. Each sets the default of a key in [Concentrator]. */
static const struct {
        const char *variable, *key;
        const char *wants; /* completes "must be …" */
} environment[] = {
        {"SUPPORT_MULTI_CONSOLE", "MultiConsole", "true or false"},
        {"VM_CLIENT_LIMIT", "ClientLimit", "a number"},
};

/* Assigns the variable's value, if it is set. Returns: 0, or a negative errno if the value is invalid; then nothing changes. */
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

void config_set_defaults(Config *c) {
        set_built_in(c);
        for (size_t i = 0; i < ELEMENTSOF(environment); i++)
                (void) take_variable(c, i); /* config_init() has logged invalid values */
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

/* Must be called when all files have been read, because the two ends of the range may be set in different files. If the
 * range is empty, both ends are set to those in @good. */
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

const char *config_strerror(int error) {
        return error == -EMEDIUMTYPE ? "It is not a regular file" : strerror(-error);
}

/* Refuses FIFOs and devices, because reading them could block forever. /dev/null is allowed: a link to it masks a file. */
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

        r = config_load_stream(c, path, file, p);
        fclose(file);
        return r;
}

int config_load_text(Config *c, const char *name, const char *text, size_t size, Problems *p) {
        /* fmemopen() fails if the buffer is empty. */
        if (size == 0)
                return 0;

        FILE *file = fmemopen((void *) text, size, "r");
        if (!file)
                return -errno;

        int r = config_load_stream(c, name, file, p);
        fclose(file);
        check_range_alone(c, name, p);
        return r;
}

static const char *file_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* Sorts by file name. Files with the same name are sorted by folder: /etc comes before /run and /usr/lib, in the order of
 * precedence. */
static int compare_paths(const void *a, const void *b) {
        const char *x = *(char *const *) a, *y = *(char *const *) b;

        return strcmp(file_name(x), file_name(y)) ?: strcmp(x, y);
}

/* The file could contain anything, so every door is closed. */
static void refuse_file(const char *path, int error, Problems *p) {
        problems_doubt(p, DOOR_EVERY, "Cannot read %s: %s", path, config_strerror(-error));
}

/* A file that exists but cannot be read is a problem, and so is a dangling link. Returns: 1 if the file exists, 0 if it does
 * not, or -ENOMEM. */
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
