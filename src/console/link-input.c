/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "console-vmotion.h"

/* Up to this number of bytes between two breaks are copied, so that several breaks can be sent together. */
#define LINK_RUN_MAX 512U

/*
 * After the go-ahead, the source of a vMotion may close its connection at any moment, while we still have unread data of it. If
 * it were sent a single byte after that, its kernel would reset the connection, and the unread data would be lost. So it is sent
 * nothing. Answers wait until it is certain that the source remains the VM; after the handover it needs none.
 */
static bool link_is_muted(const Link *l) {
        return l->record.state == LINK_HANDED_OVER || (l->vmotion && vmotion_mutes(l->vmotion, l));
}

static void link_log_lost_input(Link *l, uint64_t n) {
        if (n > 0)
                link_log_limited(l, LOG_WARNING, NULL, "%s does not take its input: %" PRIu64 " bytes dropped", l->record.peer, n);
}

/* Skips input that has been dropped, because clients do not wait for this link. */
static void link_recover_input(Link *l) {
        link_log_lost_input(l, input_ring_recover(&l->console->input, &l->record.input));
}

void link_skip_input(Link *l, InputMark mark) {
        link_log_lost_input(l, mark.position - l->record.input.position);
        l->record.input = mark;
        if (l->record.input_limit.position < mark.position)
                l->record.input_limit = mark; /* a part of the held input has been dropped, too */
}

/* Queues breaks, and short runs of bytes between them. */
static int link_queue_breaks(Link *l) {
        InputRing *ring = &l->console->input;
        uint8_t run[LINK_RUN_MAX];
        int r = 0;

        while (r >= 0 && l->telnet.stream.out.size < LINK_ANSWERS_MAX) {
                size_t n = input_ring_to_break(ring, &l->record.input, l->record.input_limit);
                if (n > LINK_RUN_MAX)
                        break;

                if (n == 0) {
                        input_ring_pass_break(ring, &l->record.input);
                        r = telnet_connection_command(&l->telnet, (uint8_t[]){TELNET_BRK}, 1);
                } else {
                        ring_read(&ring->bytes, l->record.input.position, run, n);
                        l->record.input.position += n;
                        r = telnet_connection_queue(&l->telnet, run, n);
                }
        }

        return r;
}

/* Sends the next piece of input. *ret_more: whether there may be more to send. Returns: 0 or a negative errno. */
static int link_send_input(Link *l, bool *ret_more) {
        InputRing *ring = &l->console->input;
        struct iovec iov[64];

        *ret_more = true;
        if (input_ring_to_break(ring, &l->record.input, l->record.input_limit) <= LINK_RUN_MAX)
                return link_queue_breaks(l);

        size_t n = input_ring_gather(ring, &l->record.input, l->record.input_limit, iov, ELEMENTSOF(iov));
        if (n == 0) {
                *ret_more = l->vmotion && vmotion_owes_go_ahead(l->vmotion, l);
                return *ret_more ? vmotion_go_ahead(l->vmotion) : 0;
        }

        ssize_t sent = telnet_connection_send(&l->telnet, iov, n);
        if (sent < 0)
                return (int) sent;

        l->record.input.position += (size_t) sent;
        return 0;
}

/* Starts or stops `stall`, which elapses if the link takes no input for LINK_STALL_USEC. @before: its previous position. */
static void link_watch_stall(Link *l, InputMark before) {
        LinkRecord *r = &l->record;
        bool has_taken = r->input.position != before.position || r->input.n_breaks != before.n_breaks;

        if (input_ring_has_reached(&l->console->input, &r->input, r->input_limit)) {
                timeout_stop(&l->stall);
                r->stalled = false;
        } else if (has_taken || (!r->stalled && !l->stall.queue)) {
                timeout_start(concentrator_timeouts(l->concentrator, TIMEOUT_STALL), &l->stall);
                r->stalled = false;
        }
}

static int link_send(Link *l) {
        bool more = true;
        int r;

        do {
                r = telnet_connection_flush(&l->telnet);
                if (r <= 0)
                        return r;

                if (l->vmotion)
                        vmotion_flushed(l->vmotion, l);
                if (link_is_muted(l) || l->record.state != LINK_LIVE || l->telnet.stream.blocked)
                        return 0;

                r = link_send_input(l, &more);
        } while (r == 0 && more);

        return r;
}

bool link_flush(Link *l) {
        if (l->verdict != 0)
                return false;

        if (l->record.state == LINK_LIVE)
                link_recover_input(l);

        if (!link_is_muted(l)) {
                InputMark before = l->record.input;

                if (!link_judge(l, link_send(l)))
                        return false;
                if (l->record.state == LINK_LIVE)
                        link_watch_stall(l, before);
        }

        link_update_charge(l);
        link_update_reading(l);
        return true;
}

void link_stall_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, stall);

        l->record.stalled = true;
        console_changed(l->console);
}
