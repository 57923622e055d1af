/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <fnmatch.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/text.h"
#include "inventory.h"
#include "message.h"
#include "verbs.h"

/* vspcd wrote the output of consoles in earlier versions, vspc-logger does now */
#define UNITS_DEFAULT "_SYSTEMD_UNIT=vspc.service", "_SYSTEMD_UNIT=vspc-logger.service"

/* The maximum number of VMs: their matches are arguments of journalctl. */
#define VMS_MAX 4096U

/* The journal, and the namespace of log-namespace.conf for consoles */
#define NAMESPACE "--namespace=+vspc"

/* The command line of a program, which ends with NULL */
typedef struct Words {
        char **word;
        size_t n;
        bool failed; /* memory is short */
} Words;

static void words_done(Words *w) {
        for (size_t i = 0; i < w->n; i++)
                free(w->word[i]);
        free(w->word);
}

/* Takes over @word; NULL: memory was short. */
static void words_take(Words *w, char *word) {
        char **grown = word ? reallocarray(w->word, w->n + 2, sizeof *grown) : NULL;

        if (!grown) {
                free(word);
                w->failed = true;
                return;
        }

        w->word = grown;
        w->word[w->n++] = word;
        w->word[w->n] = NULL;
}

static void words_add(Words *w, const char *word) {
        words_take(w, strdup(word));
}

/* The VMs whose entries are shown: matches for journalctl, with "+" between VMs. Each has the units that write output
 * of consoles: any local user can write entries that look like output, but journald sets the field _SYSTEMD_UNIT,
 * which cannot be forged. */
typedef struct Selection {
        const Arguments *arguments;
        Words matches;
        size_t n; /* VMs */
} Selection;

/* @field, @value: identify the VM. @uri: its serial port; NULL: any. Returns: 0, or a negative errno after a message. */
static int selection_add(Selection *s, const char *field, const char *value, const char *uri) {
        static const char *const units[] = {UNITS_DEFAULT};
        const char *unit = s->arguments->unit;
        Words *m = &s->matches;

        if (s->n >= VMS_MAX)
                return complain(E2BIG, "These are more than %u VMs.", VMS_MAX);

        if (s->n++ > 0)
                words_add(m, "+");
        if (unit)
                words_take(m, text_format("_SYSTEMD_UNIT=%s%s", unit, strchr(unit, '.') ? "" : ".service"));
        else
                for (size_t i = 0; i < ELEMENTSOF(units); i++)
                        words_add(m, units[i]);
        words_take(m, text_format("%s=%s", field, value));
        if (uri)
                words_take(m, text_format("VSPC_URI=%s", uri));
        return m->failed ? complain(ENOMEM, "Cannot search the journal: %m") : 0;
}

/* Returns: the command line of journalctl for the selected entries, with @options. */
static Words journalctl_words(const char *const *options, size_t n_options, const Selection *s) {
        Words w = {};

        words_add(&w, "journalctl");
        words_add(&w, NAMESPACE);
        words_add(&w, "-t");
        words_add(&w, "vspc-console");
        for (size_t i = 0; i < n_options; i++)
                words_add(&w, options[i]);
        for (size_t i = 0; i < s->matches.n; i++)
                words_add(&w, s->matches.word[i]);
        return w;
}

static int complain_about_journalctl(int error) {
        return complain(error, "Cannot run journalctl, which shows the output of consoles: %m");
}

static int spawn(const char *const *argv, int output, pid_t *ret) {
        posix_spawn_file_actions_t actions;

        int r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;

        if ((r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)) == 0 &&
            (r = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)) == 0)
                r = posix_spawnp(ret, argv[0], &actions, NULL, (char *const *) argv, environ);

        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* *ret: the process that writes. Returns: the reading end of a pipe, or a negative errno after a message. */
static int run_journalctl(const char *const *argv, pid_t *ret) {
        _cleanup_close_ int from = -1, to = -1;
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return complain_about_journalctl(errno);

        from = fds[0];
        to = fds[1];
        int r = spawn(argv, to, ret);
        return r < 0 ? complain_about_journalctl(r) : TAKE_FD(from);
}

static void wait_for_journalctl(pid_t pid) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* Returns: whether journalctl prints anything, or a negative errno after a message. */
static int prints_anything(const char *const *argv) {
        pid_t pid;
        ssize_t n;
        char byte;

        int fd = run_journalctl(argv, &pid);
        if (fd < 0)
                return fd;

        do
                n = read(fd, &byte, 1);
        while (n < 0 && errno == EINTR);

        safe_close(fd);
        wait_for_journalctl(pid);
        return n > 0;
}

static int has_entries(const Selection *s) {
        static const char *const options[] = {"--quiet", "--lines=1", "--output=cat"};
        _cleanup_(words_done) Words w = journalctl_words(options, ELEMENTSOF(options), s);

        return w.failed ? complain(ENOMEM, "Cannot search the journal: %m") : prints_anything((const char *const *) w.word);
}

/* The journal of a machine is never empty: if nothing is found, we have no permission. */
static int is_readable(void) {
        static const char *const argv[] = {"journalctl", NAMESPACE, "--quiet",      "--lines=1",
                                           "--output=cat", "--system", NULL};

        return prints_anything(argv);
}

static int complain_about_access(void) {
        if (geteuid() == 0)
                return complain(ENOENT, "There is no journal on this machine.");

        return complain(EACCES,
                        "You may not read this machine's journal, which has the output of consoles: run this as "
                        "root, or join group systemd-journal (\"usermod -aG systemd-journal USER\", and log in again).");
}

/* Returns: > 0 if there are entries, 0 if not, or a negative errno after a message. */
static int look_for(const Selection *s) {
        int r = has_entries(s);
        if (r != 0)
                return r;

        r = is_readable();
        return r == 0 ? complain_about_access() : MIN(r, 0);
}

/* Executes journalctl in place of this process. Returns: a negative errno if that fails. */
static int show(const Selection *s) {
        const Arguments *a = s->arguments;
        _cleanup_(words_done) Words w = journalctl_words(a->journal_options, a->n_journal_options, s);

        if (w.failed)
                return complain(ENOMEM, "Cannot search the journal: %m");

        (void) fflush(stdout);
        execvp(w.word[0], w.word);
        return complain_about_journalctl(errno);
}

static int select_known(Selection *s, const json_t *vm) {
        const char *id = json_get_text(vm, "id", ""), *uuid = json_get_text(vm, "uuid", "");
        bool one_of_several = !streq(id, uuid); /* one of several serial ports of the VM (MultiConsole=yes) */

        return selection_add(s, "VSPC_VM_UUID", uuid, one_of_several ? json_get_text(vm, "uri", "") : NULL);
}

/* Looks for entries of a VM that vspcd does not know. @error: why the call of vspcd on @c failed */
static int select_unknown(Selection *s, const char *name, const Connection *c, int error) {
        Selection alone = {.arguments = s->arguments};

        message("Looking for a VM named \"%s\" in the journal.", name);
        int r = selection_add(&alone, "VSPC_VM_NAME", name, NULL);
        if (r >= 0)
                r = look_for(&alone);
        words_done(&alone.matches);
        if (r > 0)
                return selection_add(s, "VSPC_VM_NAME", name, NULL);
        if (r < 0)
                return r;

        if (!c->unreachable)
                (void) verb_failed(c, error, name);
        return complain(ENOENT, "The journal has no output of a VM named \"%s\".", name);
}

static bool is_pattern(const char *name) {
        return strpbrk(name, "*?[");
}

/* Selects all VMs whose names are in the journal and match, even if vspcd does not know them any more. */
static int select_pattern(Selection *s, const char *pattern) {
        static const char *const argv[] = {"journalctl", NAMESPACE, "--quiet", "--field=VSPC_VM_NAME", NULL};
        _cleanup_free_ char *line = NULL;
        size_t size = 0, before = s->n;
        ssize_t n;
        pid_t pid;
        int r = 0;

        int fd = run_journalctl(argv, &pid);
        if (fd < 0)
                return fd;

        FILE *names = fdopen(fd, "r");
        if (!names)
                safe_close(fd);
        while (names && r >= 0 && (n = getline(&line, &size, names)) > 0) {
                if (line[n - 1] == '\n')
                        line[n - 1] = 0;
                if (fnmatch(pattern, line, 0) == 0)
                        r = selection_add(s, "VSPC_VM_NAME", line, NULL);
        }

        if (names)
                (void) fclose(names);
        wait_for_journalctl(pid);
        if (r < 0)
                return r;
        if (s->n > before)
                return 0;

        r = is_readable();
        return r < 0    ? r
               : r == 0 ? complain_about_access()
                        : complain(ENOENT, "The journal has no output of a VM whose name is like \"%s\".", pattern);
}

static int select_vm(Selection *s, Connection *c, const char *name) {
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch(c, is_pattern(name) ? NULL : name, INVENTORY_MAX, &vms);
        if (c->n_tried > 0 && !c->unreachable && !target_is_of_this_machine(connection_target(c)))
                return complain(EINVAL,
                                "The journal of another machine cannot be read from here: "
                                "run \"vspc-client log %s\" there.",
                                name);

        if (is_pattern(name))
                return select_pattern(s, name);
        if (r < 0 && c->unreachable) {
                (void) verb_failed(c, r, name);
                return select_unknown(s, name, c, r);
        }
        if (r == -EREMOTEIO && varlink_reply_is_error(&c->refusal, "NoSuchVM"))
                return select_unknown(s, name, c, r);
        if (r < 0)
                return verb_failed(c, r, name);

        if (json_array_size(vms) > 1)
                return complain(EINVAL, "\"%s\" matches %zu VMs: \"vspc-client show %s\" tells them apart.", name,
                                json_array_size(vms), name);

        return select_known(s, json_array_get(vms, 0));
}

int verb_log(const Arguments *a) {
        Selection s = {.arguments = a};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < a->n_words; i++) {
                _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);

                r = select_vm(&s, &c, a->words[i]);
        }

        /* success, even if the VMs have written nothing yet */
        if (r >= 0)
                r = look_for(&s);
        if (r >= 0)
                r = show(&s);
        words_done(&s.matches);
        return r;
}
