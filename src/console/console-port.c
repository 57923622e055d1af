/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The port of a VM: takes and releases it, listens at it, and accepts clients. PortQueue decides which waiting VM is served
 * next, and which VM must give something up for another. */

#include <stdio.h>
#include <sys/socket.h>

#include "client-refusal.h"
#include "message.h"
#include "transport/socket.h"

/* The maximum of ports that are tried for one VM, so that a program that occupies all ports does not delay the event loop. */
#define PORT_TRIES_MAX 256U

/* How often VMs try again that have got no descriptor */
#define PORT_RETRY_USEC USEC_PER_SEC

/* VMs that are away listen again only while this number of descriptors is free. Otherwise each client that comes and goes would
 * close and open a port. */
#define SPARE_DESCRIPTORS 16U

static bool console_is_away(const Console *c) {
        return !c->links && !c->clients && !c->vmotions;
}

static bool console_has_useful_port(const Console *c) {
        const PortPool *pool = concentrator_ports(c->concentrator);

        return c->record.own_port >= pool->first && c->record.own_port <= pool->last;
}

static void console_update_claim(Console *c, PortState state) {
        bool away = console_is_away(c);

        c->claim.connected = c->record.connected_for;
        port_queue_update(concentrator_port_queue(c->concentrator), &c->claim,
                          &(PortFacts){
                                  .state = state,
                                  .away = away,
                                  .away_since = !away             ? 0
                                                : c->orphaned.queue ? c->orphaned.since_usec
                                                                    : concentrator_now(c->concentrator),
                                  .useful = console_has_useful_port(c),
                          });
}

static void console_set_port_state(Console *c, PortState state) {
        Concentrator *concentrator = c->concentrator;
        bool own = state == PORT_OPEN || state == PORT_RESERVED;

        concentrator_set_port_owner(concentrator, c->by_port, NULL);
        c->by_port = own ? c->record.own_port : 0;
        concentrator_set_port_owner(concentrator, c->by_port, c);

        concentrator_counts(concentrator)->n_ports += state == PORT_OPEN;
        concentrator_counts(concentrator)->n_ports -= c->claim.facts.state == PORT_OPEN;
        c->port = state == PORT_OPEN ? c->record.own_port : 0;
        console_update_claim(c, state);
}

void console_settle_port(Console *c) {
        console_update_claim(c, c->claim.facts.state);
}

uint16_t console_reserved_port(const Console *c) {
        return c->claim.facts.state == PORT_RESERVED ? c->record.own_port : 0;
}

static void console_accept(Acceptor *a, int fd, const SocketAddress *address) {
        Console *c = container_of(a, Console, acceptor);
        ClientRequest request = {.access = ACCESS_MODE_FREE_FOR_ALL_FALLBACK, .mode = TELNET_MODE_UNDECIDED};

        fd = concentrator_admit(c->concentrator, fd);
        if (fd >= 0) {
                peer_init(&request.peer, fd, address);

                ConsoleVerdict verdict = console_admit(c, &request);
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

/* Closing is not enough: another process may have a copy of the descriptor, for example a program that a plug-in has started. */
static void console_stop_listening(Console *c) {
        if (acceptor_is_open(&c->acceptor))
                (void) shutdown(c->acceptor.watch.fd, SHUT_RDWR);

        acceptor_close(&c->acceptor);
}

/* Returns: 0 or a negative errno. */
static int console_listen(Console *c, uint16_t port) {
        Concentrator *concentrator = c->concentrator;
        SocketAddress address = concentrator_settings(concentrator)->vm_port_address;

        address_set_port(&address, port);
        int fd = socket_listen(&address);
        if (fd < 0)
                return fd;

        /* For a VM that is away, nothing else is closed. */
        fd = console_is_away(c) ? concentrator_place(concentrator, fd) : concentrator_make_room(concentrator, fd);
        if (fd < 0)
                return fd;

        int r = acceptor_open(&c->acceptor, concentrator_poller(concentrator), concentrator_acceptor_backoff(concentrator), fd,
                              console_accept);
        return r == -ENOSPC ? -ENOBUFS : r; /* the limit of epoll's watches */
}

/* Returns: whether @r is a temporary shortage, during which the VM keeps the port. */
static bool is_shortage(int r) {
        return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

static bool is_waiting(int r) {
        return r == -ENOSPC || r == -EADDRINUSE;
}

static void log_foreign_port(int port, int next) {
        const LogFields fields = {.message_id = VSPC_MESSAGE_PORT_UNAVAILABLE};

        if (next > 0)
                log_full(LOG_NOTICE, 0, &fields, "Port %d is in use by another program, trying %d", port, next);
        else
                log_full(LOG_NOTICE, 0, &fields, "Port %d is in use by another program, and no other port is free", port);
}

/* Takes the port that is reserved for the VM, or else the one that it had last, or else another one. Returns: the port, or
 * -ENOSPC. */
static int console_take_port(Console *c) {
        PortPool *pool = concentrator_ports(c->concentrator);

        if (c->claim.facts.state == PORT_RESERVED ||
            (c->record.own_port > 0 && port_pool_claim(pool, c->record.own_port) >= 0))
                return c->record.own_port;

        return port_pool_take(pool, concentrator_now(c->concentrator));
}

/* Returns: 0; a negative errno for which is_shortage(), and the port is reserved; -ENOSPC or -EADDRINUSE, and the VM waits for
 * a port; or another negative errno. */
static int console_try_port(Console *c) {
        PortPool *pool = concentrator_ports(c->concentrator);
        int foreign = 0;

        for (unsigned i = 0; i < PORT_TRIES_MAX; i++) {
                usec_t now = concentrator_now(c->concentrator);
                int port = i == 0 ? console_take_port(c) : port_pool_take(pool, now);
                if (foreign > 0)
                        log_foreign_port(foreign, port);
                if (port < 0) {
                        console_set_port_state(c, PORT_AWAITED);
                        return port;
                }

                int r = console_listen(c, (uint16_t) port);
                if (r >= 0 || is_shortage(r)) {
                        c->record.own_port = (uint16_t) port;
                        console_set_port_state(c, r >= 0 ? PORT_OPEN : PORT_RESERVED);
                        return r;
                }

                if (r != -EADDRINUSE) {
                        port_pool_release(pool, (uint16_t) port);
                        console_set_port_state(c, PORT_NONE);
                        return r;
                }

                foreign = port_pool_set_foreign(pool, (uint16_t) port, now) ? port : 0;
        }

        console_set_port_state(c, PORT_AWAITED);
        return -EADDRINUSE;
}

void console_close_port(Console *c) {
        Concentrator *concentrator = c->concentrator;
        PortState state = c->claim.facts.state;

        console_stop_listening(c);
        console_set_port_state(c, PORT_NONE);
        if (state != PORT_RESERVED && state != PORT_OPEN)
                return;

        port_pool_release(concentrator_ports(concentrator), c->record.own_port);
        port_queue_wake(concentrator_port_queue(concentrator));
}

static const char *format_span(usec_t span, char buffer[static 32]) {
        uint64_t minutes = span / (60 * USEC_PER_SEC);

        if (minutes < 2)
                snprintf(buffer, 32, "%llu s", (unsigned long long) (span / USEC_PER_SEC));
        else if (minutes < 120)
                snprintf(buffer, 32, "%llu min", (unsigned long long) minutes);
        else
                snprintf(buffer, 32, "%llu h", (unsigned long long) minutes / 60);

        return buffer;
}

/* Returns: the VM that @first finds, after updating the queue, because a client may have come since the VM was settled. */
static PortClaim *concentrator_choose(Concentrator *concentrator, PortClaim *(*first)(const PortQueue *)) {
        PortClaim *claim;

        while ((claim = first(concentrator_port_queue(concentrator)))) {
                console_settle_port(container_of(claim, Console, claim));
                if (claim == first(concentrator_port_queue(concentrator)))
                        break;
        }

        return claim;
}

/* Takes the port of a VM that has been away for long. Returns: whether there is such a VM. */
static bool concentrator_give_up_port(Concentrator *concentrator) {
        char away[32], connected[32];

        PortClaim *claim = concentrator_choose(concentrator, port_queue_holder);
        if (!claim)
                return false;

        Console *c = container_of(claim, Console, claim);
        console_log(c, LOG_NOTICE, VSPC_MESSAGE_PORT_GIVEN_UP, NULL,
                    "gives up port %u, as all ports are taken and another VM needs one: it has been away for %s, and was "
                    "connected for %s in all", c->record.own_port,
                    format_span(concentrator_now(concentrator) - claim->facts.away_since, away),
                    format_span(claim->connected, connected));
        console_close_port(c);
        c->record.own_port = 0; /* it does not get this port again, not even after a restart */
        concentrator_metrics(concentrator)->ports_given_up++;
        console_has_news(c);
        return true;
}

/* Like console_try_port(), but unless the VM is away, other VMs give up what it needs. */
static int console_get_port(Console *c) {
        int r = console_try_port(c);

        /* Repeated only if another program has taken the port that was given up. */
        for (unsigned i = 0; r == -ENOSPC && i < PORT_TRIES_MAX && !console_is_away(c) &&
                             concentrator_give_up_port(c->concentrator); i++)
                r = console_try_port(c);

        return r;
}

void console_open_port(Console *c) {
        const PortClaim *first = concentrator_port_queue(c->concentrator)->lists[PORT_LIST_AWAITED];
        PortState state = c->claim.facts.state;
        int r = -ENOSPC;

        if (!concentrator_settings(c->concentrator)->vm_ports || state == PORT_OPEN)
                return;

        if (state != PORT_RESERVED && first && first != &c->claim)
                console_set_port_state(c, PORT_AWAITED); /* other VMs have waited longer */
        else
                r = console_get_port(c);

        if (r >= 0 || (is_shortage(r) && console_is_away(c))) /* logged by concentrator_tell_of_closed_ports() */
                return;

        console_log(c, LOG_WARNING, VSPC_MESSAGE_PORT_UNAVAILABLE, NULL, "has no port%s: %s",
                    is_waiting(r) || is_shortage(r) ? " yet" : "",
                    r == -ENOSPC ? "the range from VMPortRangeStart= to VMPortRangeEnd= is exhausted" : strerror(-r));
}

void console_claim_own_port(Console *c) {
        if (c->claim.facts.state == PORT_NONE && c->record.own_port > 0 &&
            port_pool_claim(concentrator_ports(c->concentrator), c->record.own_port) >= 0)
                console_set_port_state(c, PORT_RESERVED);
}

/* Closes the listening socket because descriptors have run out. The VM keeps its port, and listens again later. */
static void console_pause_port(Console *c) {
        console_stop_listening(c);
        console_set_port_state(c, PORT_RESERVED);
        console_has_news(c);
}

bool concentrator_pause_port(Concentrator *c) {
        PortClaim *claim = concentrator_choose(c, port_queue_listener);
        if (!claim)
                return false;

        console_pause_port(container_of(claim, Console, claim));
        return true;
}

void console_move_port(Console *c) {
        if (c->claim.facts.state != PORT_OPEN)
                return;

        console_stop_listening(c);
        int r = console_listen(c, c->record.own_port);
        if (r >= 0)
                return;

        if (is_shortage(r)) {
                console_pause_port(c);
                return;
        }

        console_log(c, LOG_WARNING, VSPC_MESSAGE_PORT_UNAVAILABLE, NULL,
                    "cannot keep port %u at the new VMPortAddress=: %s", c->port, strerror(-r));
        console_close_port(c);
}

/* Returns: whether anything has changed. */
static bool console_serve_port(Console *c) {
        PortState before = c->claim.facts.state;
        bool told_for_all = before == PORT_RESERVED && console_is_away(c);
        int r = console_get_port(c);

        if (r < 0 && c->claim.facts.state == before)
                return r == -EADDRINUSE; /* other programs have all ports that were tried: try the next ones */

        if (r >= 0)
                console_log(c, told_for_all ? LOG_DEBUG : LOG_INFO, VSPC_MESSAGE_PORT_OPENED, NULL,
                            "its clients use port %u from now on", c->port);
        else if (!is_waiting(r) && !is_shortage(r))
                console_log(c, LOG_WARNING, VSPC_MESSAGE_PORT_UNAVAILABLE, NULL, "has no port: %s", strerror(-r));
        console_has_news(c);
        return true;
}

/* Logs once for all VMs. */
static void concentrator_tell_of_closed_ports(Concentrator *c) {
        const LogFields fields = {.message_id = VSPC_MESSAGE_PORTS_CLOSED};
        PortQueue *q = concentrator_port_queue(c);
        unsigned n = q->n[PORT_LIST_RESERVED] + q->n[PORT_LIST_RESERVED_AWAY];

        if (n == 0 && TAKE(q->told_closed, false) && concentrator_settings(c)->vm_ports)
                log_full(LOG_NOTICE, 0, &fields, "All VMs listen at their ports again");
        if (n > 0 && !q->told_closed && log_rate_limit_pass(&q->closings, concentrator_now(c)) > 0) {
                q->told_closed = true;
                log_full(LOG_WARNING, 0, &fields,
                         "File descriptors are running out: %u %s at present, beginning with the VM that has been away "
                         "for longest. They keep their ports, and listen there again once descriptors are free. "
                         "LimitNOFILE= could be raised", n, n == 1 ? "VM does not listen at its port"
                                                                   : "VMs do not listen at their ports");
        }
}

bool console_serve_ports(Concentrator *c, usec_t *ret_retry) {
        PortQueue *q = concentrator_port_queue(c);
        bool spare = true;

        for (PortList list = PORT_LIST_NONE + 1; list < _PORT_LIST_MAX && spare; list++) {
                PortClaim *claim = q->lists[list];

                if (claim && list >= PORT_LIST_RESERVED_AWAY)
                        spare = concentrator_has_descriptors(c, SPARE_DESCRIPTORS);
                if (claim && spare && console_serve_port(container_of(claim, Console, claim)))
                        return true;
        }

        concentrator_tell_of_closed_ports(c);
        const PortPool *pool = concentrator_ports(c);
        if (!spare || q->n[PORT_LIST_RESERVED] + q->n[PORT_LIST_RESERVED_AWAY] > 0)
                *ret_retry = concentrator_now(c) + PORT_RETRY_USEC;
        else if (pool->foreign_since > 0 && q->n[PORT_LIST_AWAITED] + q->n[PORT_LIST_AWAITED_AWAY] > 0)
                *ret_retry = pool->foreign_since + PORT_POOL_FOREIGN_USEC;

        return false;
}
