/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/text.h"
#include "peer.h"

void peer_init(Peer *p, int fd, const SocketAddress *address) {
        struct ucred credentials;
        socklen_t length = sizeof credentials;

        if (address->any.sa_family == AF_UNIX &&
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) >= 0) {
                peer_init_local(p, credentials.uid, credentials.pid);
                identity_init_socket(&p->identity, fd, credentials.uid, credentials.gid);
                return;
        }

        p->uid = PEER_UID_NONE;
        p->pid = 0;
        p->key = account_key_of_address(address);
        p->identity = (Identity){.kind = IDENTITY_ANONYMOUS};
        address_format(address, p->text);
}

void peer_set_name(Peer *p, const char *name) {
        size_t n = text_cut(name, MIN(strlen(name), (size_t) PEER_NAME_MAX)), address = strlen(p->text) + 1;

        assert(address <= ADDRESS_TEXT_MAX);
        memmove(p->text + n + 2, p->text, address);
        memcpy(p->text, name, n);
        memcpy(p->text + n, ", ", 2);
}

void peer_init_local(Peer *p, uid_t uid, pid_t pid) {
        p->uid = uid;
        p->pid = pid;
        p->key = account_key_of_user(uid);
        identity_init_user(&p->identity, uid);
        snprintf(p->text, sizeof p->text, "uid %u (pid %d)", uid, pid);
}

void peer_set_user_name(Peer *p, const char *name) {
        if (name)
                snprintf(p->text, sizeof p->text, "%.*s (pid %d)", (int) text_fit(name, PEER_NAME_MAX), name, p->pid);
}

void peer_set_display_name(Peer *p, const char *name) {
        _cleanup_free_ char *clean = text_sanitize(name, strlen(name), PEER_DISPLAY_NAME_MAX);
        char own[sizeof p->text];

        if (!clean || !*clean)
                return;

        strcpy(own, p->text);
        (void) snprintf(p->text, sizeof p->text, "%.*s" PEER_BY_WAY_OF "%s",
                        (int) text_fit(clean, PEER_DISPLAY_NAME_MAX), clean, own);
}
