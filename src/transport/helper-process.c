/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "basic/log.h"
#include "basic/options.h"
#include "basic/service.h"
#include "basic/worker.h"
#include "helper-process.h"

/* Returns: the descriptor, or a negative errno; it has been logged. */
static int receive_socket(const char *name) {
        int n = sd_listen_fds(1), fd = SD_LISTEN_FDS_START;

        if (n < 0)
                return log_error_errno(n, "Cannot take over the socket that systemd passes: %m");
        if (n == 0)
                return log_error_errno(ENOTCONN,
                                       "%s gets its socket from systemd: use \"systemctl start %s.socket\", or "
                                       "\"systemd-socket-activate --seqpacket -l PATH %s\" to try it out",
                                       name, name, name);
        if (n > 1 || sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) <= 0)
                return log_error_errno(EINVAL,
                                       "systemd has not passed exactly one listening socket for vspcd: use one "
                                       "ListenSequentialPacket= with a path, and Accept=no");

        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return log_error_errno(errno, "The socket cannot be made non-blocking: %m");

        return fd;
}

static int run(const HelperProcess *p) {
        _cleanup_(service_done) Service service = {};
        void *server = NULL;

        int fd = receive_socket(p->name);
        if (fd < 0)
                return fd;

        int r = service_init(&service);
        if (r < 0)
                return r;

        r = p->start(service.loop, fd, &server);
        if (r < 0)
                return log_error_errno(r, "Cannot serve vspcd: %m");

        r = service_handle_signals(&service, p->on_stop, p->on_reload, server);
        if (r >= 0)
                r = service_run(&service);

        p->end(server);
        return r;
}

void helper_process_main(const HelperProcess *p, int argc, char *argv[]) {
        log_open(p->name);

        int r = options_parse(&(Options){p->name, p->help}, argc, argv, NULL);
        if (r > 0) {
                service_prepare();
                r = run(p);
                log_stop_worker();
        }

        worker_leave_process(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
