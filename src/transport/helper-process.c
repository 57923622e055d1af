/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "basic/log.h"
#include "helper-process.h"

int helper_process_parse_arguments(const char *name, const char *purpose, int argc, char *argv[]) {
        enum { OPTION_VERSION = 256 };
        static const struct option options[] = {
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, OPTION_VERSION},
                {},
        };

        switch (getopt_long(argc, argv, "h", options, NULL)) {

        case 'h':
                printf("%s [OPTION…]\n"
                       "\n"
                       "%s\n"
                       "\n"
                       "  -h --help     Show this help and exit\n"
                       "     --version  Show the version and exit\n", name, purpose);
                return 0;

        case OPTION_VERSION:
                printf("%s " VSPC_VERSION "\n", name);
                return 0;

        case -1:
                break;

        default: /* getopt has shown a message */
                fprintf(stderr, "Try \"%s --help\".\n", name);
                return -EINVAL;
        }

        if (optind < argc)
                return log_error_errno(EINVAL, "\"%s\" is not understood: %s takes options only", argv[optind], name);

        return 1;
}

int helper_process_receive_socket(const char *name) {
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
