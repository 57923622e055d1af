/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The port at which a VM is served: which one it has, and who connects to it. */

#include <sys/socket.h>

#include "client.h"
#include "message.h"

static void console_accept(Acceptor *a, int fd, const SocketAddress *address) {
        Console *c = container_of(a, Console, acceptor);
        ClientRequest request = {.access = ACCESS_MODE_FREE_FOR_ALL_FALLBACK, .mode = CLIENT_UNDECIDED};

        /* It is wanted: admitting the connection must not give up this very mapping. */
        timeout_stop(&c->orphaned);

        fd = concentrator_admit(c->concentrator, fd);
        if (fd >= 0) {
                peer_init(&request.peer, fd, address);

                ConsoleVerdict verdict = console_admits(c, request.access, &request.granted);
                if (verdict != CONSOLE_ADMITS)
                        client_refuse(c, fd, &request, verdict);
                else {
                        int r = client_new(c, WIRE_PLAIN(fd), &request);
                        if (r < 0)
                                console_log(c, LOG_ERR, NULL, NULL, "cannot take another client: %s",
                                            strerror(-r));
                }
        }

        console_changed(c);
}

/* It is not enough to close it: somebody may have a copy of the descriptor, as a program that a plug-in starts may. */
static void console_stop_listening(Console *c) {
        if (acceptor_is_open(&c->acceptor))
                (void) shutdown(c->acceptor.watch.fd, SHUT_RDWR);

        acceptor_close(&c->acceptor);
}

void console_close_port(Console *c) {
        console_stop_listening(c);
        if (c->port == 0)
                return;

        port_pool_release(&c->concentrator->ports, TAKE(c->port, 0));
        c->concentrator->n_ports--;
}

static void console_listen(Console *c, int fd) {
        Concentrator *concentrator = c->concentrator;

        int r = acceptor_open(&c->acceptor, concentrator->poller, &concentrator->rests, fd, console_accept);
        if (r >= 0)
                return;

        console_log(c, LOG_ERR, VSPC_MESSAGE_PORT_UNAVAILABLE, NULL, "cannot listen: %s", strerror(-r));
        console_close_port(c);
}

void console_open_port(Console *c) {
        Concentrator *concentrator = c->concentrator;
        int fd;

        if (!concentrator->settings.vm_ports || acceptor_is_open(&c->acceptor))
                return;

        /* Others may be given up for it, but not itself. */
        timeout_stop(&c->orphaned);

        int port = concentrator_open_port(concentrator, c->own_port, &fd);
        if (port < 0) {
                console_log(c, LOG_WARNING, VSPC_MESSAGE_PORT_UNAVAILABLE, NULL, "has no port: %s",
                            port == -ENOSPC ? "the range from VMPortRangeStart= to VMPortRangeEnd= is exhausted"
                                            : strerror(-port));
                return;
        }

        c->port = c->own_port = (uint16_t) port;
        concentrator->n_ports++;
        console_listen(c, fd);
}

void console_move_port(Console *c) {
        if (c->port == 0)
                return;

        timeout_stop(&c->orphaned);
        console_stop_listening(c);

        int fd = concentrator_listen(c->concentrator, c->port);
        if (fd >= 0) {
                console_listen(c, fd);
                return;
        }

        console_log(c, LOG_WARNING, VSPC_MESSAGE_PORT_UNAVAILABLE, NULL,
                    "cannot keep port %u at the new VMPortAddress=: %s", c->port, strerror(-fd));
        console_close_port(c);
}
