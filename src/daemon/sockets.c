/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "basic/log.h"
#include "basic/text.h"
#include "sockets.h"

static const char *const kind_names[] = {
        [SOCKET_VM] = "vm",
        [SOCKET_ADMIN] = "admin",
        [SOCKET_ADMIN_TLS] = "admin-tls",
};

static void free_names(char ***names) {
        for (char **n = *names; n && *n; n++)
                free(*n);
        free(*names);
}

static int socket_check(int fd, const char *name, SocketKind *ret) {
        int kind = text_find(kind_names, ELEMENTSOF(kind_names), name);
        if (kind < 0)
                return log_error_errno(EINVAL,
                                       "Socket %d has the unknown name \"%s\": FileDescriptorName= must be "
                                       "vm, admin or admin-tls (systemd-socket-activate: --fdname=vm)",
                                       fd, name);

        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
                return log_error_errno(EINVAL,
                                       "Socket %d (\"%s\") is not a listening stream socket: use ListenStream= "
                                       "and Accept=no",
                                       fd, name);

        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return log_error_errno(errno, "Socket %d (\"%s\") cannot be made non-blocking: %m", fd, name);

        *ret = (SocketKind) kind;
        return 0;
}

int sockets_receive(PassedSocket **ret_sockets) {
        _cleanup_(free_names) char **names = NULL;
        bool any_vm = false;

        int n = sd_listen_fds_with_names(1, &names);
        if (n < 0)
                return log_error_errno(n, "Cannot take over the sockets that systemd passes: %m");
        if (n == 0)
                return log_error_errno(ENOTCONN,
                                       "vspcd gets its sockets from systemd: use \"systemctl start vspc.socket\", "
                                       "or \"systemd-socket-activate -l 127.0.0.1:13370 --fdname=vm "
                                       "-E STATE_DIRECTORY=. vspcd\" to try it out");

        _cleanup_free_ PassedSocket *sockets = calloc((size_t) n, sizeof(PassedSocket));
        if (!sockets)
                return log_error_errno(ENOMEM, "Cannot take over the sockets that systemd passes: %m");

        for (int i = 0; i < n; i++) {
                sockets[i].fd = SD_LISTEN_FDS_START + i;
                int r = socket_check(sockets[i].fd, names[i], &sockets[i].kind);
                if (r < 0)
                        return r;
                any_vm = any_vm || sockets[i].kind == SOCKET_VM;
        }

        if (!any_vm)
                return log_error_errno(ENOTCONN,
                                       "None of the %d sockets has the name vm, so no VM could connect: set "
                                       "FileDescriptorName=vm in vspc.socket",
                                       n);

        *ret_sockets = TAKE_PTR(sockets);
        return n;
}
