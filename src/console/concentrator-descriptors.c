/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* File descriptors: finds one for each new connection, and closes others near the limit. */

#include <fcntl.h>

#include "client.h"
#include "link.h"
#include "message.h"

/* A handshake normally takes milliseconds. When descriptors run out, those that take longer than this are closed first. */
#define HANDSHAKE_SLOW_USEC (5 * USEC_PER_SEC)

/* A thread may take the descriptor that has just been closed. Then another one is closed, up to this number. */
#define RECLAIM_TRIES_MAX 4U

/* Closes one descriptor to make room for a new connection: that of the slowest handshake, or else of the oldest half-closed
 * client, or else the listening socket of the VM that has been away for longest. No VM is forgotten or loses its port. */
static bool concentrator_reclaim(Concentrator *c) {
        Timeout *handshake = concentrator_timeouts(c, TIMEOUT_HANDSHAKE)->oldest,
                *half_closed = concentrator_timeouts(c, TIMEOUT_HALF_CLOSED)->oldest;

        if (handshake && concentrator_now(c) - handshake->since_usec >= HANDSHAKE_SLOW_USEC) {
                link_close(container_of(handshake, Link, timeout), LINK_E_RECLAIMED);
                return true;
        }

        if (half_closed) {
                client_close(container_of(half_closed, Client, lifetime), CLIENT_E_RECLAIMED);
                return true;
        }

        return concentrator_pause_port(c);
}

static void concentrator_log_refusal(Concentrator *c) {
        unsigned n = log_rate_limit_pass(concentrator_refusals(c), concentrator_now(c));

        concentrator_metrics(c)->descriptor_refusals++;
        if (n > 0)
                log_full(LOG_ERR, 0, &(LogFields){.message_id = VSPC_MESSAGE_DESCRIPTORS_EXHAUSTED},
                         "%u %s refused: all %u descriptors are in use, LimitNOFILE= could be raised", n,
                         n == 1 ? "connection" : "connections", concentrator_descriptor_limit(c));
}

int concentrator_place(const Concentrator *c, int fd) {
        _cleanup_close_ int owned_fd = fd;

        return fd >= 0 && (unsigned) fd < concentrator_descriptor_limit(c) ? TAKE_FD(owned_fd) : -EMFILE;
}

int concentrator_make_room(Concentrator *c, int fd) {
        if ((unsigned) fd < concentrator_descriptor_limit(c))
                return fd;

        /* Move the descriptor to the number that has become free. Without gaps, the highest number tells how many descriptors
         * are open. */
        _cleanup_close_ int high = fd;
        for (unsigned i = 0; i < RECLAIM_TRIES_MAX && concentrator_reclaim(c); i++) {
                int low = concentrator_place(c, fcntl(high, F_DUPFD_CLOEXEC, 0));
                if (low >= 0)
                        return low;
        }

        return -EMFILE;
}

int concentrator_admit(Concentrator *c, int fd) {
        int r = concentrator_make_room(c, fd);

        if (r < 0)
                concentrator_log_refusal(c);
        return r;
}

bool concentrator_has_descriptors(const Concentrator *c, unsigned n) {
        if (n == 0)
                return true;

        /* The only way to count them: the kernel always uses the lowest free number. */
        _cleanup_close_ int fd = fcntl(sd_event_get_fd(concentrator_event(c)), F_DUPFD_CLOEXEC, 0);

        return fd >= 0 && (unsigned) fd < concentrator_descriptor_limit(c) && concentrator_has_descriptors(c, n - 1);
}
