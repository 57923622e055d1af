/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <utlist.h>

#include "varlink-server.h"

/* How long calls are handled before other sockets have their turn */
#define WORK_USEC (USEC_PER_MSEC / 4)

/* A listening socket */
struct VarlinkListener {
        VarlinkServer *server;
        VarlinkTransport transport;
        bool restricted; /* the owner and the mode of its file prevent some users from connecting */
        Acceptor acceptor;
        VarlinkListener *prev, *next;
};

void varlink_server_set_working(VarlinkServer *s) {
        bool work = s->ready || s->connections[VARLINK_CLOSED];

        (void) poller_watch(concentrator_poller(s->concentrator), &s->worker, work ? EPOLLIN : 0);
}

const VarlinkInterface *varlink_server_find_interface(const VarlinkServer *s, const char *name) {
        for (const VarlinkInterface *const *i = s->interfaces; *i; i++)
                if (streq((*i)->name, name))
                        return *i;

        return NULL;
}

static void server_reap(VarlinkServer *s) {
        VarlinkConnection *c, *next;

        DL_FOREACH_SAFE(s->connections[VARLINK_CLOSED], c, next)
                varlink_connection_free(c);
        s->connections[VARLINK_CLOSED] = NULL;
}

/* Called once for each batch of the poller, like the handler of a socket. A deferred source of sd-event would always come
 * first, so that nothing else had a turn until all work is done. */
static void on_work(Watch *w, _unused_ uint32_t events) {
        VarlinkServer *s = container_of(w, VarlinkServer, worker);
        usec_t began = now_monotonic();

        while (s->ready && now_monotonic() - began < WORK_USEC)
                varlink_connection_work(s->ready);

        server_reap(s);
        varlink_server_set_working(s);
}

bool varlink_server_limits(const VarlinkServer *s, const Identity *who) {
        const Rights *r = concentrator_rights(s->concentrator);

        return rights_exist(r) && !rights_include_all(r, who);
}

static VarlinkConnection *find_idle_limited(const VarlinkServer *s) {
        VarlinkConnection *c;

        DL_FOREACH(s->connections[VARLINK_IDLE], c)
                if (c->limited)
                        return c;

        return NULL;
}

/* Closes an idle connection if there are too many. Returns: whether there is room for another one. */
static bool server_has_room(VarlinkServer *s, bool limited) {
        unsigned max = MIN(VARLINK_CONNECTIONS_MAX, concentrator_descriptor_limit(s->concentrator) / 8);
        VarlinkConnection *idle = limited && s->n_limited >= max / 2 ? find_idle_limited(s) : NULL;

        if (idle)
                varlink_close(idle);
        if (limited && s->n_limited >= max / 2)
                return false;

        if (s->n_connections >= max && s->connections[VARLINK_IDLE])
                varlink_close(s->connections[VARLINK_IDLE]);

        return s->n_connections < max;
}

static void server_log_refusal(VarlinkServer *s) {
        if (log_rate_limit_pass(&s->refusals, concentrator_now(s->concentrator)) > 0)
                log_warning("Queries are refused: %u connections are being answered already", s->n_connections);
}

static void server_log_closed(VarlinkServer *s, const SocketAddress *address) {
        char peer[ADDRESS_TEXT_MAX];

        if (log_rate_limit_pass(&s->mistakes, concentrator_now(s->concentrator)) > 0)
                log_warning("Query from %s is refused: %s", address_format(address, peer),
                            s->tls_in_doubt ? "something is wrong in [TLS] of the configuration, see the status of the service"
                                            : "there is no certificate for TLS, see CertificateFile=");
}

static unsigned count_of_user(const VarlinkServer *s, uid_t uid) {
        unsigned n = 0;

        for (VarlinkState state = VARLINK_IDLE; state < VARLINK_CLOSED; state++) {
                const VarlinkConnection *c;

                DL_FOREACH(s->connections[state], c)
                        n += c->peer.uid == uid;
        }

        return n;
}

/* Sends an error without reading the call. */
static void refuse(int fd, Closer *closer) {
        static const char text[] = "{\"error\":\"org.vspc.Concentrator.NotPermitted\",\"parameters\":{\"who\":[\"user:root\","
                                   "\"group:vspc\"]}}";

        (void) send(fd, text, sizeof text, MSG_DONTWAIT | MSG_NOSIGNAL); /* there is room: nothing has been sent yet */
        closer_take_fd(closer, fd, "");
}

/* Decides by what is known without reading anything. In TLS, the certificate decides later. Returns: whether the connection may
 * stay; otherwise it has been closed. */
static bool server_admits(VarlinkServer *s, int fd, const Peer *peer, VarlinkTransport transport) {
        const Rights *rights = concentrator_rights(s->concentrator);
        const char *why = NULL;

        if (transport == VARLINK_IN_TLS || rights_include_all(rights, &peer->identity))
                return true;

        if (!rights_admit(rights, &peer->identity))
                why = "no section [Access] names them, and only root and group vspc have rights without";
        else if (peer->uid != PEER_UID_NONE && count_of_user(s, peer->uid) >= VARLINK_CONNECTIONS_PER_USER_MAX)
                why = "they have as many connections as one user may have";
        if (!why)
                return true;

        if (log_rate_limit_pass(&s->expulsions, concentrator_now(s->concentrator)) > 0)
                log_notice("Query from %s is refused: %s", peer->text, why);
        refuse(fd, concentrator_closer(s->concentrator));
        return false;
}

static void listener_accept(Acceptor *a, int fd, const SocketAddress *address) {
        VarlinkListener *listener = container_of(a, VarlinkListener, acceptor);
        VarlinkServer *s = listener->server;
        Peer peer;

        fd = concentrator_admit(s->concentrator, fd);
        if (fd < 0)
                return;

        peer_init(&peer, fd, address);
        peer.identity.let_in_by_mode = listener->restricted;
        if (concentrator_rights(s->concentrator)->has_group)
                identity_keep_group(&peer.identity, fd, concentrator_rights(s->concentrator)->group);
        if (!server_admits(s, fd, &peer, listener->transport))
                return;

        if (!server_has_room(s, varlink_server_limits(s, &peer.identity))) {
                server_log_refusal(s);
                safe_close(fd);
                return;
        }

        if (listener->transport == VARLINK_IN_TLS && !s->tls) {
                server_log_closed(s, address);
                safe_close(fd);
                return;
        }

        int r = varlink_connection_new(s, fd, &peer, listener->transport == VARLINK_IN_TLS ? s->tls : NULL);
        if (r < 0)
                log_error_errno(r, "Cannot take a connection for queries: %m");
}

static void listener_free(VarlinkServer *s, VarlinkListener *l) {
        DL_DELETE(s->listeners, l);
        acceptor_close(&l->acceptor);
        free(l);
}

/* systemd has made the file with SocketMode=. If it has been removed since, nobody can connect. */
static bool socket_is_restricted(int fd) {
        SocketAddress address = {};
        socklen_t length = sizeof address;
        struct stat st;

        if (getsockname(fd, &address.any, &length) < 0 || address.any.sa_family != AF_UNIX || length <= sizeof(sa_family_t))
                return false;

        return address.un.sun_path[0] == '/' && stat(address.un.sun_path, &st) >= 0 && !(st.st_mode & S_IWOTH);
}

int varlink_server_listen(VarlinkServer *s, int fd, VarlinkTransport transport) {
        _cleanup_close_ int owned_fd = fd;
        _cleanup_free_ VarlinkListener *l = calloc(1, sizeof(VarlinkListener));
        if (!l)
                return -ENOMEM;

        l->server = s;
        l->transport = transport;
        l->restricted = socket_is_restricted(owned_fd);
        int r = acceptor_open(&l->acceptor, concentrator_poller(s->concentrator),
                              concentrator_acceptor_backoff(s->concentrator), TAKE_FD(owned_fd), listener_accept);
        if (r < 0)
                return r;

        DL_APPEND(s->listeners, l);
        TAKE_PTR(l);
        return 0;
}

void varlink_server_set_tls(VarlinkServer *s, TlsContext *tls) {
        TlsContext *old = s->tls;

        s->tls = tls ? tls_context_ref(tls) : NULL;
        s->tls_in_doubt = false;
        tls_context_unref(old);
}

static bool is_known(const VarlinkConnection *c) {
        return c->peer.uid != PEER_UID_NONE || (!c->handshake && (!c->stream.tls || c->named));
}

void varlink_server_set_rights(VarlinkServer *s) {
        const Rights *rights = concentrator_rights(s->concentrator);

        for (VarlinkState state = VARLINK_IDLE; state < VARLINK_CLOSED; state++) {
                VarlinkConnection *c, *next;

                DL_FOREACH_SAFE(s->connections[state], c, next)
                        if (is_known(c) && !rights_admit(rights, &c->peer.identity)) {
                                if (log_rate_limit_pass(&s->expulsions, concentrator_now(s->concentrator)) > 0)
                                        log_notice("%s has no right to query any more, closing the connection", c->peer.text);
                                varlink_expel(c);
                        } else if (state == VARLINK_WATCHING)
                                varlink_review(c);
        }
}

void varlink_server_set_reload(VarlinkServer *s, AdminReloadHandler handler, void *userdata) {
        s->reload = handler;
        s->reload_userdata = userdata;
}

void varlink_server_close_tls(VarlinkServer *s) {
        varlink_server_set_tls(s, NULL);
        s->tls_in_doubt = true;
}

int varlink_server_new(Concentrator *concentrator, const VarlinkInterface *const *interfaces, UserNames *user_names,
                       VarlinkServer **ret) {
        _cleanup_(varlink_server_freep) VarlinkServer *s = calloc(1, sizeof(VarlinkServer));
        if (!s)
                return -ENOMEM;

        s->concentrator = concentrator;
        s->interfaces = interfaces;
        s->user_names = user_names;
        s->events.wake = varlink_wake;

        s->worker = (Watch){.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), .handler = on_work};
        if (s->worker.fd < 0)
                return -errno;

        int r = timeout_queue_init(&s->call_timeouts, concentrator_event(concentrator), VARLINK_CALL_USEC, varlink_call_elapsed);
        if (r < 0)
                return r;

        r = timeout_queue_init(&s->stall_timeouts, concentrator_event(concentrator), VARLINK_STALL_USEC, varlink_stall_elapsed);
        if (r < 0)
                return r;

        r = timeout_queue_init(&s->watch_stall_timeouts, concentrator_event(concentrator), VARLINK_WATCH_STALL_USEC,
                               varlink_stall_elapsed);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

VarlinkServer *varlink_server_free(VarlinkServer *s) {
        while (s->listeners)
                listener_free(s, s->listeners);
        for (VarlinkState state = VARLINK_IDLE; state < VARLINK_CLOSED; state++)
                while (s->connections[state])
                        varlink_close(s->connections[state]);
        server_reap(s);

        timeout_queue_done(&s->call_timeouts);
        timeout_queue_done(&s->stall_timeouts);
        timeout_queue_done(&s->watch_stall_timeouts);
        tls_context_unref(s->tls);
        if (s->worker.fd >= 0)
                poller_close(concentrator_poller(s->concentrator), &s->worker);
        free(s);
        return NULL;
}
