/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>

#include "message.h"
#include "verbs.h"

/* vspc-client: asks vspcd about VMs, and attaches to their consoles. */

static const struct {
        const char *name;
        int (*run)(const Arguments *a);
        size_t least_words, most_words;
        const char *wanted;
} verbs[] = {
        {"list", verb_list, 0, 0, "takes no more arguments"},
        {"show", verb_show, 1, SIZE_MAX, "wants to know which VM: vspc-client show VM"},
        {"attach", verb_attach, 1, 1, "wants to know which one VM: vspc-client attach VM"},
        {"clear", verb_clear, 1, SIZE_MAX, "wants to know which VM: vspc-client clear VM"},
        {"forget", verb_forget, 1, SIZE_MAX, "wants to know which VM: vspc-client forget VM"},
        {"monitor", verb_monitor, 0, 0, "takes no more arguments"},
        {"metrics", verb_metrics, 0, 0, "takes no more arguments"},
        {"log", verb_log, 1, 1, "wants to know which one VM: vspc-client log VM"},
};

/* Were one of them closed a socket might take its place. */
static void open_standard_descriptors(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);

        safe_close(fd);
}

static int run(const Arguments *a) {
        const char *name = a->verb ?: a->n_words == 0 ? "list" : "attach";

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                if (!streq(verbs[i].name, name))
                        continue;

                if (a->n_words < verbs[i].least_words || a->n_words > verbs[i].most_words)
                        return complain(EINVAL, "%s %s.", name, verbs[i].wanted);

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

        if (fflush(stdout) != 0 || ferror(stdout))
                r = complain(errno ?: EIO, "Cannot write to the standard output: %m");

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
