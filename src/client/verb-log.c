/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inventory.h"
#include "message.h"
#include "verbs.h"

/* The journal, and the namespace that log-namespace.conf makes for consoles */
#define NAMESPACE "--namespace=+vspc"

/* "journalctl", three words that are always the same, the user's options, three matches and a NULL */
#define JOURNALCTL_WORDS_MAX (8U + JOURNAL_OPTIONS_MAX)

/* Which entries are shown */
typedef struct Matches {
        char *unit; /* that has written them */
        char *vm;
        char *uri; /* NULL: any */
} Matches;

static void matches_done(Matches *m) {
        free(m->unit);
        free(m->vm);
        free(m->uri);
}

static char *match(const char *field, const char *value, const char *suffix) {
        char *text;

        return asprintf(&text, "%s=%s%s", field, value, suffix) >= 0 ? text : NULL;
}

/* Any local user may write entries that look like a console's, but the field _SYSTEMD_UNIT is set by
 * journald, and cannot be forged. */
static char *match_unit(const Arguments *a) {
        return match("_SYSTEMD_UNIT", a->unit, strchr(a->unit, '.') ? "" : ".service");
}

static void put_words(const char *argv[static JOURNALCTL_WORDS_MAX], const char *const *options, size_t n_options,
                      const Matches *m) {
        size_t n = 0;

        argv[n++] = "journalctl";
        argv[n++] = NAMESPACE;
        argv[n++] = "-t";
        argv[n++] = "vspc-console";
        for (size_t i = 0; i < n_options; i++)
                argv[n++] = options[i];
        argv[n++] = m->unit;
        argv[n++] = m->vm;
        if (m->uri)
                argv[n++] = m->uri;
        argv[n] = NULL;
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

/* Returns: whether journalctl prints anything, or a negative errno, about which there was a message. */
static int prints_anything(const char *const *argv) {
        _cleanup_close_ int from = -1, to = -1;
        int fds[2];
        pid_t pid;
        ssize_t n;
        char byte;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return complain_about_journalctl(errno);

        from = fds[0];
        to = fds[1];
        int r = spawn(argv, to, &pid);
        if (r < 0)
                return complain_about_journalctl(r);

        to = safe_close(to);
        do
                n = read(from, &byte, 1);
        while (n < 0 && errno == EINTR);

        from = safe_close(from);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;

        return n > 0;
}

static int has_entries(const Matches *m) {
        static const char *const options[] = {"--quiet", "--lines=1", "--output=cat"};
        const char *argv[JOURNALCTL_WORDS_MAX];

        put_words(argv, options, ELEMENTSOF(options), m);
        return prints_anything(argv);
}

/* The journal of a machine is never empty: if nothing is found in it, it may not be read. */
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

/* Returns: > 0 if there are entries, 0 if there are none, or a negative errno, about which there was a
 * message. */
static int look_for(const Matches *m) {
        int r = has_entries(m);
        if (r != 0)
                return r;

        r = is_readable();
        return r == 0 ? complain_about_access() : MIN(r, 0);
}

/* Becomes journalctl. Returns: a negative errno if it cannot. */
static int show(const Arguments *a, const Matches *m) {
        const char *argv[JOURNALCTL_WORDS_MAX];

        put_words(argv, a->journal_options, a->n_journal_options, m);
        (void) fflush(stdout);
        execvp(argv[0], (char **) argv);
        return complain_about_journalctl(errno);
}

static int log_known(const Arguments *a, const json_t *vm) {
        const char *id = json_get_text(vm, "id", ""), *uuid = json_get_text(vm, "uuid", "");
        bool one_of_several = !streq(id, uuid); /* a serial port of the VM's, with MultiConsole= */
        _cleanup_(matches_done) Matches m = {
                .unit = match_unit(a),
                .vm = match("VSPC_VM_UUID", uuid, ""),
                .uri = one_of_several ? match("VSPC_URI", json_get_text(vm, "uri", ""), "") : NULL,
        };

        if (!m.unit || !m.vm || (one_of_several && !m.uri))
                return complain(ENOMEM, "Cannot search the journal: %m");

        /* It is not a failure if the VM has said nothing yet. */
        int r = look_for(&m);
        return r < 0 ? r : show(a, &m);
}

/* The journal may have entries of a VM that vspcd has forgotten. @error: why asking vspcd at @c has failed */
static int log_unknown(const Arguments *a, const char *name, const Connection *c, int error) {
        _cleanup_(matches_done) Matches m = {.unit = match_unit(a), .vm = match("VSPC_VM_NAME", name, "")};

        if (!m.unit || !m.vm)
                return complain(ENOMEM, "Cannot search the journal: %m");

        message("Looking for a VM named \"%s\" in the journal.", name);
        int r = look_for(&m);
        if (r < 0)
                return r;
        if (r > 0)
                return show(a, &m);

        if (!c->unreachable)
                (void) verb_failed(c, error, name);
        return complain(ENOENT, "The journal has no output of a VM named \"%s\".", name);
}

int verb_log(const Arguments *a) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);
        _cleanup_json_ json_t *vms = NULL;
        const char *name = a->words[0];

        int r = inventory_fetch(&c, name, INVENTORY_MAX, &vms);
        if (r < 0 && c.unreachable) {
                (void) verb_failed(&c, r, name);
                return log_unknown(a, name, &c, r);
        }

        if (c.n_tried > 0 && !target_is_of_this_machine(connection_target(&c)))
                return complain(EINVAL,
                                "The journal of another machine cannot be read from here: "
                                "run \"vspc-client log %s\" there.",
                                name);

        if (r == -EREMOTEIO && varlink_reply_is_error(&c.refusal, "NoSuchVM"))
                return log_unknown(a, name, &c, r);
        if (r < 0)
                return verb_failed(&c, r, name);

        if (json_array_size(vms) > 1)
                return complain(EINVAL, "\"%s\" matches %zu VMs: \"vspc-client show %s\" tells them apart.", name,
                                json_array_size(vms), name);

        return log_known(a, json_array_get(vms, 0));
}
