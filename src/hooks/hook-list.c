/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/log.h"
#include "basic/text.h"
#include "hook-list.h"

/* For tests: folders in place of the system's, separated by colons */
#define HOOKS_PATH_VARIABLE "VSPC_HOOKS_PATH"
#define HOOKS_PATH_DEFAULT "/etc/vspc/hooks.d:/usr/lib/vspc/hooks.d"

/* The maximum number of files in all folders: a folder with more does not contain hooks. */
#define CANDIDATES_MAX 1024U

typedef struct Candidate {
        char *path;
        const char *name; /* in path */
        size_t folder;
} Candidate;

typedef struct Candidates {
        Candidate *candidate;
        size_t n;
} Candidates;

static void candidates_done(Candidates *c) {
        for (size_t i = 0; i < c->n; i++)
                free(c->candidate[i].path);

        free(c->candidate);
}

/* Files that editors and package managers leave beside the real file */
static bool is_hidden_or_backup(const char *name) {
        static const char *const endings[] = {
                "~", ".bak", ".old", ".orig", ".swp", ".tmp",
                ".dpkg-bak", ".dpkg-dist", ".dpkg-new", ".dpkg-old", ".dpkg-tmp",
                ".rpmnew", ".rpmorig", ".rpmsave", ".ucf-dist", ".ucf-new", ".ucf-old",
        };
        size_t n = strlen(name);

        if (name[0] == '.')
                return true;

        for (size_t i = 0; i < ELEMENTSOF(endings); i++) {
                size_t k = strlen(endings[i]);

                if (n >= k && streq(name + n - k, endings[i]))
                        return true;
        }

        return false;
}

static int candidates_add(Candidates *c, const char *folder, size_t number, const char *name) {
        if (c->n >= CANDIDATES_MAX)
                return -E2BIG;

        Candidate *grown = reallocarray(c->candidate, c->n + 1, sizeof(Candidate));
        if (!grown)
                return -ENOMEM;

        c->candidate = grown;
        Candidate *new = &c->candidate[c->n];
        new->path = text_format("%s/%s", folder, name);
        if (!new->path)
                return -ENOMEM;

        new->name = new->path + strlen(folder) + 1;
        new->folder = number;
        c->n++;
        return 0;
}

static int candidates_read(Candidates *c, const char *folder, size_t number) {
        int r = 0;

        DIR *dir = opendir(folder);
        if (!dir)
                return errno == ENOENT ? 0 : -errno;

        for (struct dirent *entry; r >= 0 && (errno = 0, entry = readdir(dir));)
                if (!is_hidden_or_backup(entry->d_name))
                        r = candidates_add(c, folder, number, entry->d_name);
        if (r >= 0 && errno > 0)
                r = -errno;

        closedir(dir);
        return r;
}

static int compare_candidates(const void *a, const void *b) {
        const Candidate *x = a, *y = b;

        return strcmp(x->name, y->name) ?: (x->folder > y->folder) - (x->folder < y->folder);
}

/* Returns: whether the file only hides files with the same name in other folders. */
static bool is_mask(const struct stat *st) {
        return S_ISCHR(st->st_mode) || (S_ISREG(st->st_mode) && st->st_size == 0);
}

/* Returns: whether the file is a hook. A file that was probably meant to be one, but cannot be run, is logged. */
static bool is_hook(const char *path) {
        const char *why = NULL;
        struct stat st;

        if (stat(path, &st) < 0)
                why = strerror(errno);
        else if (is_mask(&st))
                return false;
        else if (!S_ISREG(st.st_mode))
                why = "it is not a regular file";
        else if ((st.st_mode & 0111) == 0)
                why = "it is not executable (use chmod +x)";
        else if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
                why = "user vspc-hooks may not execute it";
        else if (st.st_mode & S_IWOTH)
                why = "everybody can write to it (use chmod o-w)";
        if (!why)
                return true;

        log_full(LOG_WARNING, 0, &(LogFields){.field = &(LogField){"VSPC_HOOK=", path}, .n_fields = 1},
                 "Hook %s is not run: %s", path, why);
        return false;
}

static bool is_hidden_by_last(const Candidates *c, size_t i) {
        return i > 0 && streq(c->candidate[i].name, c->candidate[i - 1].name);
}

/* Sorted by name; of files with the same name, the one with precedence comes first. Returns: 0; or a negative errno if
 * memory is short or a folder, *failed, could not be read; then the other folders have been read. */
static int candidates_collect(Candidates *c, char **failed) {
        const char *path = secure_getenv(HOOKS_PATH_VARIABLE) ?: HOOKS_PATH_DEFAULT;
        size_t number = 0;
        int error = 0;

        _cleanup_free_ char *copy = strdup(path);
        if (!copy)
                return -ENOMEM;

        for (char *p = copy, *folder; (folder = strsep(&p, ":"));) {
                int r = *folder ? candidates_read(c, folder, number++) : 0;
                if (r < 0 && error == 0) {
                        error = r;
                        *failed = strdup(folder);
                }
        }

        if (c->n > 0)
                qsort(c->candidate, c->n, sizeof(Candidate), compare_candidates);

        return error;
}

bool hook_list_has_candidates(void) {
        _cleanup_(candidates_done) Candidates c = {};
        _cleanup_free_ char *failed = NULL;
        struct stat st;

        if (candidates_collect(&c, &failed) < 0)
                return true; /* hook_list_load() logs errors */

        for (size_t i = 0; i < c.n; i++)
                if (!is_hidden_by_last(&c, i) && (stat(c.candidate[i].path, &st) < 0 || !is_mask(&st)))
                        return true;

        return false;
}

int hook_list_load(HookList **ret) {
        _cleanup_(candidates_done) Candidates c = {};
        _cleanup_free_ char *failed = NULL;

        int r = candidates_collect(&c, &failed);
        if (r < 0 && !failed)
                return r;
        if (r < 0)
                log_warning_errno(r, "Cannot read all of %s, ignoring the rest: %m", failed);

        _cleanup_(hook_list_unrefp) HookList *l = calloc(1, sizeof(HookList));
        if (!l)
                return -ENOMEM;

        l->n_refs = 1;
        for (size_t i = 0; i < c.n; i++) {
                if (is_hidden_by_last(&c, i) || !is_hook(c.candidate[i].path))
                        continue;
                if (l->n >= HOOK_LIST_MAX) {
                        log_warning("There are more than %u hooks, those from %s on are not run",
                                    HOOK_LIST_MAX, c.candidate[i].name);
                        break;
                }
                l->paths[l->n++] = TAKE_PTR(c.candidate[i].path);
        }

        *ret = TAKE_PTR(l);
        return 0;
}

HookList *hook_list_ref(HookList *l) {
        l->n_refs++;
        return l;
}

HookList *hook_list_unref(HookList *l) {
        if (--l->n_refs > 0)
                return NULL;

        for (size_t i = 0; i < l->n; i++)
                free(l->paths[i]);

        free(l);
        return NULL;
}
