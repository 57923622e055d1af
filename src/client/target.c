/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netdb.h>

#include "basic/parse.h"
#include "message.h"
#include "target.h"

void targets_default(Targets *t) {
        int r = targets_local(t, TARGET_DEFAULT_SOCKET);
        assert(r >= 0);
}

int targets_local(Targets *t, const char *path) {
        if (!*path || strlen(path) >= sizeof t->target[0].un.sun_path)
                return -ENAMETOOLONG;

        *t = (Targets){.n = 1, .target[0].un.sun_family = AF_UNIX};
        strcpy(t->target[0].un.sun_path, path);
        return 0;
}

void targets_bridged(Targets *t, const Bridge *bridge) {
        *t = (Targets){.n = 1, .bridge = bridge};
}

/* More than one colon without brackets means an IPv6 address without a port. */
int target_split_port(const char *text, uint16_t default_port, char **ret_host, uint16_t *ret_port) {
        const char *host = text, *end, *port = NULL;

        if (*text == '[') {
                host++;
                end = strchr(host, ']');
                if (!end || (end[1] && end[1] != ':'))
                        return -EINVAL;
                if (end[1])
                        port = end + 2;
        } else {
                const char *colon = strchr(text, ':');

                end = colon && !strchr(colon + 1, ':') ? colon : strchr(text, 0);
                if (*end)
                        port = end + 1;
        }

        uint64_t number = default_port;
        if (end == host || (port && (parse_unsigned(port, UINT16_MAX, &number) < 0 || number == 0)))
                return -EINVAL;

        *ret_host = strndup(host, (size_t) (end - host));
        *ret_port = (uint16_t) number;
        return *ret_host ? 0 : -ENOMEM;
}

int targets_resolve(Targets *t, const char *text, uint16_t default_port, char **ret_host) {
        static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        _cleanup_free_ char *host = NULL;
        struct addrinfo *found;
        uint16_t port;

        int r = target_split_port(text, default_port, &host, &port);
        if (r == -EINVAL)
                return complain(r, "--host: \"%s\" is not a host: HOST, HOST:PORT, [IPV6] or [IPV6]:PORT.", text);
        if (r < 0)
                return complain(r, "%m");

        r = getaddrinfo(host, NULL, &hints, &found);
        if (r != 0)
                return complain(EHOSTUNREACH, "Cannot find the host \"%s\": %s", host,
                                r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));

        *t = (Targets){};
        for (const struct addrinfo *a = found; a && t->n < TARGETS_MAX; a = a->ai_next) {
                if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
                        continue;

                SocketAddress *target = &t->target[t->n++];
                memcpy(target, a->ai_addr, a->ai_addrlen);
                address_set_port(target, port);
        }
        freeaddrinfo(found);

        if (t->n == 0)
                return complain(EHOSTUNREACH, "The host \"%s\" has no IP address.", host);

        *ret_host = TAKE_PTR(host);
        return 0;
}

const char *target_format(const SocketAddress *target, char buffer[static TARGET_TEXT_MAX]) {
        if (!target_is_local_socket(target))
                return address_format(target, buffer);

        return strcpy(buffer, target->un.sun_path);
}

bool target_is_of_this_machine(const SocketAddress *target) {
        return target_is_local_socket(target) || (target->any.sa_family != AF_UNSPEC && address_is_loopback(target));
}
