/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <systemd/sd-daemon.h>

#include "basic/log.h"
#include "basic/notifier.h"
#include "basic/signals.h"
#include "hook-server.h"
#include "transport/helper-process.h"

static const char purpose[] = "Run hooks for vspcd. Started by systemd when vspcd connects to vspc-hooks.socket.";

static int on_signal(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si, void *userdata) {
        hook_server_stop(userdata);
        return 0;
}

static int run(void) {
        _cleanup_(sd_event_unrefp) sd_event *loop = NULL;
        _cleanup_(notifier_freep) Notifier *notifier = NULL;
        _cleanup_(hook_server_freep) HookServer *server = NULL;

        int fd = helper_process_receive_socket("vspc-hooks");
        if (fd < 0)
                return fd;

        int r = sd_event_new(&loop);
        if (r < 0)
                return log_error_errno(r, "Cannot make an event loop: %m");

        r = notifier_new(loop, &notifier);
        if (r < 0)
                return log_error_errno(r, "Cannot notify systemd: %m");

        r = hook_server_new(loop, fd, &server);
        if (r < 0)
                return log_error_errno(r, "Cannot serve vspcd: %m");

        r = sd_event_add_signal(loop, NULL, SIGTERM, on_signal, server);
        if (r >= 0)
                r = sd_event_add_signal(loop, NULL, SIGINT, on_signal, server);
        if (r < 0)
                return log_error_errno(r, "Cannot handle signals: %m");

        notifier_ready(notifier);
        r = sd_event_loop(loop);
        if (r < 0)
                return log_error_errno(r, "The event loop has failed: %m");

        return 0;
}

int main(int argc, char *argv[]) {
        log_open("vspc-hooks");

        int r = helper_process_parse_arguments("vspc-hooks", purpose, argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        leave_signals_to_loop(SIGTERM, SIGINT);
        (void) signal(SIGCHLD, SIG_DFL); /* hooks must be waited for, even if our parent ignored SIGCHLD */
        r = log_start_worker();
        if (r < 0)
                log_warning_errno(r, "Cannot start the logging thread, logging in the foreground: %m");

        r = run();

        log_stop_worker();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
