/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <unistd.h>

#include "inventory.h"
#include "message.h"
#include "verbs.h"
#include "vm.h"

/* The journal, and the namespace that log-namespace.conf makes for consoles; three matches, and what the user wants
 * besides */
#define JOURNALCTL_WORDS_MAX (9U + JOURNAL_OPTIONS_MAX)

static int run_journalctl(const Arguments *a, const char *match, const char *uri_match) {
        const char *argv[JOURNALCTL_WORDS_MAX] = {"journalctl", "--namespace=+vspc", "-t", "vspc-console"};
        _cleanup_free_ char *unit_match = NULL;
        size_t n = 4;

        /* Any local user may write entries that look like a console's. Who has written them is what journald itself
         * says: that field cannot be had otherwise, in whatever namespace. */
        if (asprintf(&unit_match, "_SYSTEMD_UNIT=%s%s", a->unit, strchr(a->unit, '.') ? "" : ".service") < 0) {
                unit_match = NULL;
                return complain(ENOMEM, "Cannot ask the journal: %m");
        }

        for (size_t i = 0; i < a->n_journal_options; i++)
                argv[n++] = a->journal_options[i];
        argv[n++] = unit_match;
        argv[n++] = match;
        if (uri_match)
                argv[n++] = uri_match;

        (void) fflush(stdout);
        execvp(argv[0], (char **) argv);
        return complain(errno, "Cannot run journalctl, which has what consoles say: %m");
}

/* Whatever vspcd knows: the journal has what it knew. */
static int log_by_name(const Arguments *a, const char *name) {
        _cleanup_free_ char *match = NULL;

        if (asprintf(&match, "VSPC_VM_NAME=%s", name) < 0) {
                match = NULL;
                return complain(ENOMEM, "Cannot ask the journal: %m");
        }

        return run_journalctl(a, match, NULL);
}

static int log_vm(const Arguments *a, const json_t *vm) {
        const char *id = json_get_text(vm, "id", ""), *uuid = json_get_text(vm, "uuid", "");
        _cleanup_free_ char *match = NULL, *uri_match = NULL;

        if (asprintf(&match, "VSPC_VM_UUID=%s", uuid) < 0)
                match = NULL;

        /* With MultiConsole= it is one of the VM's serial ports. */
        if (!streq(id, uuid) && asprintf(&uri_match, "VSPC_URI=%s", json_get_text(vm, "uri", "")) < 0)
                uri_match = NULL;
        if (!match || (!streq(id, uuid) && !uri_match))
                return complain(ENOMEM, "Cannot ask the journal: %m");

        return run_journalctl(a, match, uri_match);
}

static int log_unknown(const Arguments *a, const char *name) {
        message("Looking for a VM named \"%s\" in the journal.", name);
        return log_by_name(a, name);
}

int verb_log(const Arguments *a) {
        _cleanup_(connection_freep) Connection *c = NULL;
        _cleanup_reply_ VarlinkReply refusal = {};
        _cleanup_json_ json_t *vms = NULL;
        _cleanup_free_ char *problem = NULL;
        const char *name = a->words[0];

        int r = connection_open(&a->targets, USEC_INFINITY, &c, &problem);
        if (r < 0) {
                message_lines(problem);
                return log_unknown(a, name);
        }

        if (!c->same_machine)
                return complain(EINVAL,
                                       "The journal of another machine cannot be read from here: "
                                       "run \"vspc-client log %s\" there.",
                                       name);

        r = inventory_fetch(c, name, INVENTORY_MAX, &vms, &refusal);
        if (r < 0)
                return verb_failed(c, r);

        if (refusal.error && !varlink_reply_is_error(&refusal, "NoSuchVM"))
                return verb_refused(c, &refusal, name);

        if (json_array_size(vms) == 0) {
                message("vspcd does not know \"%s\" any more, or yet.", name);
                return log_unknown(a, name);
        }

        if (json_array_size(vms) > 1)
                return complain(EINVAL,
                                       "\"%s\" names %zu VMs: \"vspc-client show %s\" tells them apart.",
                                       name, json_array_size(vms), name);

        return log_vm(a, json_array_get(vms, 0));
}
