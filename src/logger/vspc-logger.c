/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/macro.h"
#include "logger.h"
#include "transport/helper-process.h"

/* $LOGS_DIRECTORY may be several folders, separated by colons (systemd.exec(5)). Files go to the first one. */
static int start(_unused_ sd_event *loop, int fd, void **ret) {
        const char *folders = getenv("LOGS_DIRECTORY");
        _cleanup_free_ char *folder = folders && *folders ? strndup(folders, strcspn(folders, ":")) : NULL;
        Logger *logger;

        int r = logger_new(fd, folder, &logger);
        if (r >= 0)
                *ret = logger;
        return r;
}

static void end(void *logger) {
        logger_free(logger);
}

static int on_reload(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si, void *logger) {
        logger_reopen(logger);
        return 0;
}

int main(int argc, char *argv[]) {
        static const HelperProcess process = {
                .name = "vspc-logger",
                .help = "vspc-logger [OPTION…]\n"
                        "\n"
                        "Write the output of consoles to the journal and to files, for vspcd. Started by systemd when vspcd\n"
                        "connects to vspc-logger.socket.\n"
                        "\n"
                        "  -h --help     Show this help and exit\n"
                        "     --version  Show the version and exit\n",
                .start = start,
                .end = end,
                .on_reload = on_reload,
        };

        helper_process_main(&process, argc, argv);
}
