/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "basic/log.h"
#include "esxi-link-internal.h"

#define GATHERING_USEC (3 * USEC_PER_MSEC)
#define PARTING_USEC (2 * USEC_PER_SEC)

static int hosts_load_tls(EsxiHosts *hosts) {
        const TlsParameters parameters = {.role = TLS_CLIENT, .resumes = hosts->habits->resume};
        _cleanup_free_ char *problem = NULL;

        if (hosts->habits->security == ESXI_PLAIN)
                return 0;

        int r = tls_context_new(&parameters, &hosts->tls, &problem);
        return r < 0 ? log_error_errno(r, "Cannot speak TLS: %s", problem ?: strerror(-r)) : 0;
}

int esxi_hosts_init(EsxiHosts *hosts, Poller *poller, const EsxiHabits *habits, const EsxiLinkHandler *handler) {
        *hosts = (EsxiHosts){.poller = poller, .habits = habits, .handler = handler};

        int r = timeout_queue_init(&hosts->gathering, poller_event(poller), GATHERING_USEC, esxi_link_gathered);
        if (r >= 0)
                r = timeout_queue_init(&hosts->parting, poller_event(poller), PARTING_USEC, esxi_link_parting_elapsed);
        if (r < 0)
                return log_error_errno(r, "Cannot set timers: %m");

        return hosts_load_tls(hosts);
}

void esxi_hosts_done(EsxiHosts *hosts) {
        timeout_queue_done(&hosts->gathering);
        timeout_queue_done(&hosts->parting);
        hosts->tls = tls_context_unref(hosts->tls);
}

bool esxi_hosts_speaks_telnets(const EsxiHosts *hosts, unsigned host) {
        EsxiSecurity security = hosts->habits->security;

        return security == ESXI_TELNETS || (security == ESXI_SOME_TELNETS && host % 2 == 1);
}

/* connect() chooses a port that is free for this pair of addresses. */
static int bind_to_host(int fd, unsigned host) {
        static const int on = 1;
        SocketAddress a = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + host)}};

        (void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        return bind(fd, &a.any, address_length(&a)) < 0 ? -errno : 0;
}

int esxi_hosts_connect(const EsxiHosts *hosts, unsigned host) {
        static const int on = 1, off = 0;
        const SocketAddress *concentrator = &hosts->habits->concentrator;

        _cleanup_close_ int fd = socket(concentrator->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        /* We send first and answer at once, so acknowledgments need no segments of their own. */
        (void) setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
        if (hosts->habits->count > 1) {
                int r = bind_to_host(fd, host % hosts->habits->count);
                if (r < 0)
                        return r;
        }

        if (connect(fd, &concentrator->any, address_length(concentrator)) < 0 && errno != EINPROGRESS)
                return -errno;

        return TAKE_FD(fd);
}
