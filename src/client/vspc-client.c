/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>

#include "message.h"
#include "pager.h"
#include "verbs.h"

/* vspc-client: lists the VMs of vspcd, and attaches to their consoles. */

static const struct {
        const char *name;
        int (*run)(const Arguments *a);
        size_t least_vms, most_vms;
} verbs[] = {
        {"list", verb_list, 0, SIZE_MAX},
        {"show", verb_show, 1, SIZE_MAX},
        {"attach", verb_attach, 1, 1},
        {"watch", verb_watch, 1, 1},
        {"clients", verb_clients, 0, SIZE_MAX},
        {"say", verb_say, 1, SIZE_MAX},
        {"disconnect", verb_disconnect, 1, SIZE_MAX},
        {"clear", verb_clear, 1, SIZE_MAX},
        {"forget", verb_forget, 1, SIZE_MAX},
        {"monitor", verb_monitor, 0, 0},
        {"metrics", verb_metrics, 0, 0},
        {"log", verb_log, 1, SIZE_MAX},
};

/* If one of them were closed, a socket could take its place. */
static void open_standard_descriptors(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);

        safe_close(fd);
}

static int run(const Arguments *a) {
        if (a->stdio_bridge)
                return bridge_serve(a->socket ?: TARGET_DEFAULT_SOCKET);

        const char *name = a->verb ?: a->n_words == 0 ? "list" : "attach";

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                if (!streq(verbs[i].name, name))
                        continue;

                if (verbs[i].most_vms == 0 && a->n_words > 0)
                        return complain(EINVAL, "%s: \"%s\" is one argument too many.", name, a->words[0]);
                if (a->n_words < verbs[i].least_vms || a->n_words > verbs[i].most_vms)
                        return complain(EINVAL, "%s: %s one VM is needed.", name,
                                        verbs[i].most_vms == 1 ? "exactly" : "at least");

                return verbs[i].run(a);
        }

        assert(!"a verb that is not in the table");
        return -EINVAL;
}

int main(int argc, char *argv[]) {
        const char *names[ELEMENTSOF(verbs) + 1] = {};
        _cleanup_(arguments_done) Arguments arguments = {};

        open_standard_descriptors();

        /* Only for the width of characters: our texts are UTF-8, whatever the user's are. */
        (void) setlocale(LC_CTYPE, "C.UTF-8");

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                names[i] = verbs[i].name;

        int r = arguments_parse(argc, argv, names, &arguments);
        if (r > 0)
                r = run(&arguments);
        pager_close();

        if (fflush(stdout) != 0 || ferror(stdout))
                r = complain(errno ?: EIO, "Cannot write to the standard output: %m");

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
