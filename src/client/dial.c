/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/text.h"
#include "dial.h"

void dial_done(Dial *d) {
        free(d->tried);
        free(d->problem);
        *d = (Dial){};
}

const Target *dial_target(const Dial *d) {
        assert(d->n_tried > 0);

        return &d->targets->target[d->n_tried - 1];
}

static void fail(Dial *d, int error, const char *why) {
        _cleanup_free_ char *before = TAKE_PTR(d->tried), *clean = NULL;
        char name[TARGET_TEXT_MAX];

        d->error = error;
        target_format(dial_target(d), name);
        clean = text_sanitize(name, strlen(name), sizeof name);
        if (asprintf(&d->tried, "%s%s%s: %s", before ?: "", before ? "; " : "", clean ?: "?", why) < 0)
                d->tried = NULL;
}

void dial_failed(Dial *d, int error) {
        fail(d, error, strerror(-error));
}

int dial_distrust(Dial *d, const TlsSession *s) {
        free(d->problem);
        d->problem = trust_explain(d->targets->trust, s);
        fail(d, -EPROTO, d->problem ?: "Out of memory");
        return -EPROTO;
}

static int begin(const Target *t) {
        _cleanup_close_ int fd = socket(t->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                                        0);
        if (fd < 0)
                return -errno;

        if (connect(fd, &t->address.any, t->size) < 0 && errno != EINPROGRESS)
                return -errno;

        return TAKE_FD(fd);
}

int dial_next(Dial *d) {
        while (d->n_tried < d->targets->n) {
                d->n_tried++;

                int fd = begin(dial_target(d));
                if (fd >= 0)
                        return fd;

                dial_failed(d, fd);
        }

        return d->error;
}

int dial_check(Dial *d, int fd) {
        int error = 0;
        socklen_t size = sizeof error;

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                error = errno;
        if (error != 0)
                dial_failed(d, -error);

        return -error;
}

static const char *hint(const Dial *d) {
        if (d->error == -EACCES && target_is_default_socket(dial_target(d)))
                return "\nYou are not in group vspc: \"usermod -aG vspc USER\", and log in again.";
        if (target_is_local_socket(&d->targets->target[0]) &&
            (d->error == -ENOENT || d->error == -ECONNREFUSED))
                return "\nStart its sockets with \"systemctl start vspc.socket\", or say where it is: "
                       "--host=HOST[:PORT] or --socket=PATH.";
        if (d->error == -ECONNREFUSED && d->targets->trust)
                return "\nvspcd is there for others only if its vspc-admin-tls.socket is enabled.";
        if (d->error == -ECONNREFUSED)
                return "\nUnless its vspc-admin.socket says otherwise "
                       "vspcd can be asked from its own host only.";

        return "";
}

char *dial_explain(const Dial *d) {
        char *text;

        if (asprintf(&text, "Cannot reach vspcd: %s%s", d->tried ?: strerror(-d->error), hint(d)) < 0)
                return NULL;

        return text;
}
