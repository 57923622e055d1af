/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "port-pool.h"

static void set_bit(uint64_t *map, unsigned i) {
        map[i / 64] |= UINT64_C(1) << i % 64;
}

static void clear_bit(uint64_t *map, unsigned i) {
        map[i / 64] &= ~(UINT64_C(1) << i % 64);
}

static bool get_bit(const uint64_t *map, unsigned i) {
        return (map[i / 64] >> i % 64 & 1) != 0;
}

void port_pool_init(PortPool *p, uint16_t first, uint16_t last) {
        *p = (PortPool){};
        port_pool_set_range(p, first, last);
}

void port_pool_set_range(PortPool *p, uint16_t first, uint16_t last) {
        assert(first > 0 && first <= last);

        p->first = first;
        p->last = last;
}

static void forget_foreign(PortPool *p) {
        memset(p->foreign, 0, sizeof p->foreign);
        p->foreign_since = 0;
}

/* At most a thousand words, 64 ports each. */
static int lowest_free(const PortPool *p) {
        for (unsigned word = p->first / 64U; word <= p->last / 64U; word++) {
                uint64_t free_ports = ~(p->ours[word] | p->foreign[word]);

                if (word == p->first / 64U)
                        free_ports &= UINT64_MAX << p->first % 64;
                if (free_ports == 0)
                        continue;

                unsigned port = word * 64 + (unsigned) __builtin_ctzll(free_ports);
                return port <= p->last ? (int) port : -ENOSPC;
        }

        return -ENOSPC;
}

int port_pool_take(PortPool *p, usec_t now) {
        if (p->foreign_since > 0 && now >= p->foreign_since + PORT_POOL_FOREIGN_USEC)
                forget_foreign(p);

        int port = lowest_free(p);
        if (port >= 0)
                set_bit(p->ours, (unsigned) port);

        return port;
}

int port_pool_claim(PortPool *p, uint16_t port) {
        if (port < p->first || port > p->last || get_bit(p->ours, port) || get_bit(p->foreign, port))
                return -EADDRINUSE;

        set_bit(p->ours, port);
        return 0;
}

bool port_pool_set_foreign(PortPool *p, uint16_t port, usec_t now) {
        bool news = !get_bit(p->known, port);

        clear_bit(p->ours, port);
        set_bit(p->foreign, port);
        set_bit(p->known, port);
        if (p->foreign_since == 0)
                p->foreign_since = MAX(now, (usec_t) 1);

        return news;
}

void port_pool_release(PortPool *p, uint16_t port) {
        clear_bit(p->ours, port);
        clear_bit(p->known, port);
}
