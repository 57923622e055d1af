/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "basic/notifier.h"
#include "basic/signals.h"
#include "logger.h"
#include "transport/helper-process.h"

static const char purpose[] = "Write the output of consoles to the journal and to files, for vspcd. Started by systemd when vspcd\n"
                              "connects to vspc-logger.socket.";

/* $LOGS_DIRECTORY may be several, separated by colons (systemd.exec(5)). */
static char *logs_folder(void) {
        const char *folders = getenv("LOGS_DIRECTORY");

        return folders && *folders ? strndup(folders, strcspn(folders, ":")) : NULL;
}

static int on_reload(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si, void *userdata) {
        logger_reopen(userdata);
        return 0;
}

static int run(void) {
        _cleanup_(sd_event_unrefp) sd_event *loop = NULL;
        _cleanup_(notifier_freep) Notifier *notifier = NULL;
        _cleanup_free_ char *folder = logs_folder();
        Logger *logger;

        int fd = helper_process_receive_socket("vspc-logger");
        if (fd < 0)
                return fd;

        int r = sd_event_new(&loop);
        if (r < 0)
                return log_error_errno(r, "Cannot make an event loop: %m");

        r = notifier_new(loop, &notifier);
        if (r < 0)
                return log_error_errno(r, "Cannot notify systemd: %m");

        r = logger_new(loop, fd, folder, &logger);
        if (r < 0)
                return log_error_errno(r, "Cannot serve vspcd: %m");

        const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } signals[] = {
                {SIGTERM, NULL}, /* ends the loop */
                {SIGINT, NULL},
                {SIGHUP, on_reload},
        };
        for (size_t i = 0; i < ELEMENTSOF(signals) && r >= 0; i++)
                r = sd_event_add_signal(loop, NULL, signals[i].signal, signals[i].handler, signals[i].handler ? logger : NULL);
        if (r < 0)
                log_error_errno(r, "Cannot handle signals: %m");
        else {
                notifier_ready(notifier);
                r = sd_event_loop(loop);
                if (r < 0)
                        log_error_errno(r, "The event loop has failed: %m");
        }

        notifier_stopping(notifier);
        if (logger_free(logger)) {
                log_stop_worker();
                _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }

        return r;
}

int main(int argc, char *argv[]) {
        log_open("vspc-logger");

        int r = helper_process_parse_arguments("vspc-logger", purpose, argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        leave_signals_to_loop(SIGTERM, SIGINT, SIGHUP);
        r = log_start_worker();
        if (r < 0)
                log_warning_errno(r, "Cannot start the logging thread, logging in the foreground: %m");

        r = run();

        log_stop_worker();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
