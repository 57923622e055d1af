/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/log.h"
#include "hook-list.h"

/* Files of all folders that are looked at: a folder with more is not one of hooks. */
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

/* What editors and package managers leave beside the file that counts */
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
        if (asprintf(&new->path, "%s/%s", folder, name) < 0)
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

/* Whether it is a hook. What was meant to be one and cannot be is logged. */
static bool is_hook(const char *path) {
        const char *why = NULL;
        struct stat st;

        if (stat(path, &st) < 0)
                why = strerror(errno);
        else if (S_ISCHR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size == 0))
                return false; /* masked */
        else if (!S_ISREG(st.st_mode))
                why = "it is not a regular file";
        else if ((st.st_mode & 0111) == 0)
                why = "it is not executable (chmod +x makes it so)";
        else if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
                why = "vspcd's user may not execute it";
        else if (st.st_mode & S_IWOTH)
                why = "everybody can write to it (chmod o-w ends that)";
        if (!why)
                return true;

        log_full(LOG_WARNING, 0, &(LogFields){.field = &(LogField){"VSPC_HOOK=", path}, .n_fields = 1},
                 "Hook %s is not run: %s", path, why);
        return false;
}

int hook_list_load(const char *const *folders, HookList **ret) {
        _cleanup_(candidates_done) Candidates c = {};

        for (size_t i = 0; folders[i]; i++) {
                int r = candidates_read(&c, folders[i], i);
                if (r < 0)
                        log_warning_errno(r, "Cannot read all of %s, going on without the rest: %m",
                                          folders[i]);
        }

        if (c.n > 0)
                qsort(c.candidate, c.n, sizeof(Candidate), compare_candidates);

        _cleanup_(hook_list_unrefp) HookList *l = calloc(1, sizeof(HookList));
        if (!l)
                return -ENOMEM;

        l->n_refs = 1;
        for (size_t i = 0; i < c.n; i++) {
                if (i > 0 && streq(c.candidate[i].name, c.candidate[i - 1].name))
                        continue;
                if (!is_hook(c.candidate[i].path))
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
        __atomic_add_fetch(&l->n_refs, 1, __ATOMIC_RELAXED);
        return l;
}

HookList *hook_list_unref(HookList *l) {
        if (__atomic_sub_fetch(&l->n_refs, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;

        for (size_t i = 0; i < l->n; i++)
                free(l->paths[i]);

        free(l);
        return NULL;
}
