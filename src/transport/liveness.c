/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <linux/tcp.h> /* glibc's header has no tcpi_bytes_acked */
#include <netinet/in.h>
#include <sys/socket.h>

#include "liveness.h"

LivenessVerdict liveness_judge(Liveness *l, const struct tcp_info *info, usec_t now) {
        uint32_t silence_ms = MIN(info->tcpi_last_ack_recv, info->tcpi_last_data_recv);
        bool unanswered = info->tcpi_retransmits > 0 || info->tcpi_probes > 0;

        /* Only dead if two checks in a row say so: right after a probe has been sent, it is unanswered, too. */
        bool dead = TAKE(l->unanswered, unanswered) && unanswered && silence_ms >= LIVENESS_DEAD_SEC * 1000;

        if (info->tcpi_unacked == 0 && info->tcpi_notsent_bytes == 0)
                return LIVENESS_IDLE;
        if (dead)
                return LIVENESS_DEAD;

        if (TAKE(l->acked, info->tcpi_bytes_acked) != info->tcpi_bytes_acked)
                l->taken_at = now;
        return l->limit > 0 && now - l->taken_at >= l->limit ? LIVENESS_STUCK : LIVENESS_WAITING;
}

/* After SHUT_RDWR epoll reports the end, whatever it watches for. SO_LINGER makes the kernel drop what has not been
 * acknowledged instead of sending it again. */
static void liveness_end(Liveness *l) {
        const struct linger reset = {.l_onoff = 1};

        l->ended = true;
        (void) setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        (void) shutdown(l->fd, SHUT_RDWR);
}

void liveness_begin(Liveness *l) {
        if (l->look.queue || l->not_tcp || l->ended)
                return;

        l->taken_at = event_now(l->queue->event);
        l->unanswered = false;
        timeout_start(l->queue, &l->look);
}

void liveness_stop(Liveness *l) {
        timeout_stop(&l->look);
}

void liveness_look(Timeout *look) {
        Liveness *l = container_of(look, Liveness, look);
        struct tcp_info info = {};
        socklen_t size = sizeof info;

        if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) {
                l->not_tcp = true;
                return;
        }

        switch (liveness_judge(l, &info, event_now(l->queue->event))) {

        case LIVENESS_IDLE:
                break;

        case LIVENESS_WAITING:
                timeout_start(l->queue, look);
                break;

        case LIVENESS_DEAD:
        case LIVENESS_STUCK:
                liveness_end(l);
        }
}
