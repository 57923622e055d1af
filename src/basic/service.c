/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "log.h"
#include "service.h"
#include "signals.h"

void service_prepare(void) {
        leave_signals_to_loop(SIGTERM, SIGINT, SIGHUP);

        int r = log_start_worker();
        if (r < 0)
                log_warning_errno(r, "Cannot start the logging thread, logging in the foreground: %m");
}

int service_init(Service *s) {
        *s = (Service){};

        int r = sd_event_new(&s->loop);
        if (r < 0)
                return log_error_errno(r, "Cannot make an event loop: %m");

        r = notifier_new(s->loop, &s->notifier);
        return r < 0 ? log_error_errno(r, "Cannot notify systemd: %m") : 0;
}

void service_done(Service *s) {
        notifier_freep(&s->notifier);
        s->loop = sd_event_unref(s->loop);
}

int service_handle_signals(Service *s, sd_event_signal_handler_t stop, sd_event_signal_handler_t reload, void *userdata) {
        const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } signals[] = {{SIGTERM, stop}, {SIGINT, stop}, {SIGHUP, reload ?: stop}};

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                sd_event_signal_handler_t handler = signals[i].handler;

                /* Without a handler the userdata would be the loop's exit code. */
                int r = sd_event_add_signal(s->loop, NULL, signals[i].signal, handler, handler ? userdata : NULL);
                if (r < 0)
                        return log_error_errno(r, "Cannot handle signal %s: %m", strsignal(signals[i].signal));
        }

        return 0;
}

int service_run(Service *s) {
        notifier_ready(s->notifier);

        int r = sd_event_loop(s->loop);
        if (r < 0)
                log_error_errno(r, "The event loop has failed: %m");

        notifier_stopping(s->notifier);
        return r;
}
