/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>

#include "hook-server.h"
#include "transport/helper-process.h"

static int start(sd_event *loop, int fd, void **ret) {
        HookServer *server;

        int r = hook_server_new(loop, fd, &server);
        if (r >= 0)
                *ret = server;
        return r;
}

static void end(void *server) {
        hook_server_free(server);
}

static int on_stop(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si, void *server) {
        hook_server_stop(server);
        return 0;
}

int main(int argc, char *argv[]) {
        static const HelperProcess process = {
                .name = "vspc-hooks",
                .help = "vspc-hooks [OPTION…]\n"
                        "\n"
                        "Run hooks for vspcd. Started by systemd when vspcd connects to vspc-hooks.socket.\n"
                        "\n"
                        "  -h --help     Show this help and exit\n"
                        "     --version  Show the version and exit\n",
                .start = start,
                .end = end,
                .on_stop = on_stop,
        };

        (void) signal(SIGCHLD, SIG_DFL); /* hooks must be waited for, even if our parent ignored SIGCHLD */
        helper_process_main(&process, argc, argv);
}
