/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "console-vmotion.h"
#include "message.h"

/* What was held back goes to @winner, or nowhere if that is NULL; then the vMotion is over, and a target that has not
 * won is closed. */
static void vmotion_end(VMotion *v, Link *winner) {
        Link *peer = v->peer != winner ? v->peer : NULL;
        Console *console = v->console;

        if (v->source)
                v->source->vmotion = NULL;
        if (v->peer)
                v->peer->vmotion = NULL;

        if (winner) {
                link_send_held(winner, &v->held);
                link_flush(winner);
        }

        HASH_REMOVE(handle, console->concentrator->vmotions, v);
        console_remove_vmotion(console, v);
        vmotion_free(v);
        if (peer) /* only now: closing the peer may lead to the source being closed as well */
                link_end(peer);
        console_settle(console);
}

static void vmotion_drop_peer(VMotion *v) {
        Link *peer = TAKE_PTR(v->peer);

        if (!peer)
                return;

        peer->vmotion = NULL;
        link_end(peer);
}

/* GOAHEAD: sequence and secret. It is queued behind all that has been typed so far, and nothing follows it. */
static void vmotion_go_ahead(VMotion *v) {
        uint8_t data[VMOTION_SEQUENCE_MAX + VMOTION_SECRET_SIZE];

        memcpy(data, v->sequence, v->sequence_size);
        memcpy(data + v->sequence_size, v->secret, sizeof v->secret);

        timeout_start(&v->console->concentrator->vmotion_timeouts, &v->timeout);
        v->went_ahead = false;
        link_put(v->source, VMWARE_VMOTION_GOAHEAD, data, v->sequence_size + sizeof v->secret);
        explicit_bzero(data, sizeof data);
}

/* Everybody who watches is told of it, and it is counted. */
static void vmotion_report(Console *console, ConsoleEvent event) {
        Metrics *m = &console->concentrator->metrics;

        if (event == CONSOLE_VMOTION_BEGUN)
                m->vmotions_begun++;
        else if (event == CONSOLE_VMOTION_COMPLETE)
                m->vmotions_completed++;
        else
                m->vmotions_aborted++;

        concentrator_notify(console->concentrator, console, event, NULL);
}

static void vmotion_peer_wins(VMotion *v) {
        Console *console = v->console;
        Link *peer = v->peer, *source = v->source;

        console_log(console, LOG_INFO, VSPC_MESSAGE_VMOTION_COMPLETE, peer->peer, "has moved to %s", peer->peer);
        if (!peer->uri)
                peer->uri = TAKE_PTR(v->uri);
        link_go_live(peer, source);
        if (source)
                link_depart(source);

        vmotion_end(v, peer);
        vmotion_report(console, CONSOLE_VMOTION_COMPLETE);
}

static void vmotion_source_wins(VMotion *v, const char *why) {
        Console *console = v->console;

        console_log_said(console, LOG_INFO, VSPC_MESSAGE_VMOTION_ABORTED, v->source->peer, "stays on %s: %s",
                         v->source->peer, why);
        vmotion_end(v, v->source);
        vmotion_report(console, CONSOLE_VMOTION_ABORTED);
}

static void vmotion_nobody_wins(VMotion *v, const char *why) {
        Console *console = v->console;

        if (v->held.size > 0)
                console_log(console, LOG_WARNING, VSPC_MESSAGE_VMOTION_ABORTED, NULL,
                            "is gone in a vMotion: %s; %zu bytes of input are dropped", why, v->held.size);
        else
                console_log(console, LOG_INFO, VSPC_MESSAGE_VMOTION_ABORTED, NULL, "is gone in a vMotion: %s", why);
        vmotion_end(v, NULL);
        vmotion_report(console, CONSOLE_VMOTION_ABORTED);
}

/* Sends input to the source again, as it may stay the VM for ever. The target may still come, or complete. */
static void vmotion_hand_back(VMotion *v) {
        Buffer held = TAKE(v->held, BUFFER_INIT(v->held.max));
        Console *console = v->console;
        Link *source = v->source;

        console_log_said(console, LOG_NOTICE, VSPC_MESSAGE_VMOTION_OVERDUE, source->peer,
                         "its vMotion takes longer than VMotionTimeoutSec=: until a target completes it, what is typed "
                         "goes to %s again", source->peer);
        concentrator_notify(console->concentrator, console, CONSOLE_CHANGED, NULL);

        /* That may end the source, and with it the vMotion. */
        link_send_held(source, &held);
        link_flush(source);
        console_settle(console);
}

static void vmotion_not_now(Link *l, const uint8_t *sequence, size_t n, const char *why) {
        link_log_said(l, LOG_NOTICE, VSPC_MESSAGE_VMOTION_REFUSED, "vMotion refused: %s", why);
        link_put(l, VMWARE_VMOTION_NOTNOW, sequence, n);
}

/* A vMotion that the source begins while another is under way replaces it. What was held goes to the source
 * before the new go-ahead: "only after everything queued for this VM has been sent". */
static void vmotion_restart(VMotion *v, const uint8_t *sequence, size_t n) {
        Concentrator *c = v->console->concentrator;

        vmotion_drop_peer(v);
        if (v->source)
                link_send_held(v->source, &v->held);
        if (!v->source) /* it could not be sent something, and has been closed */
                return;

        HASH_REMOVE(handle, c->vmotions, v);
        int r = vmotion_renew(v, sequence, n);
        if (r >= 0)
                r = HASH_TRY_ADD(handle, c->vmotions, v->secret, VMOTION_HANDLE_SIZE, v);
        if (r < 0) {
                Console *console = v->console;

                vmotion_not_now(v->source, sequence, n, strerror(-r));
                vmotion_end(v, v->source);
                vmotion_report(console, CONSOLE_VMOTION_ABORTED);
                return;
        }

        vmotion_go_ahead(v);
}

void vmotion_begin(Link *source, const uint8_t *sequence, size_t n) {
        Console *console = source->console;
        VMotion *v = source->vmotion;

        if (source->state != LINK_LIVE) {
                vmotion_not_now(source, sequence, n, "it is not known yet which VM this is");
                return;
        }

        if (n > VMOTION_SEQUENCE_MAX) {
                vmotion_not_now(source, sequence, n, "its sequence is longer than 64 bytes");
                return;
        }

        if (!v) {
                int r = vmotion_new(source->uri, sequence, n, &v);
                if (r >= 0)
                        r = HASH_TRY_ADD(handle, console->concentrator->vmotions, v->secret, VMOTION_HANDLE_SIZE, v);
                if (r < 0) {
                        vmotion_freep(&v);
                        vmotion_not_now(source, sequence, n, strerror(-r));
                        return;
                }

                v->console = console;
                v->source = source;
                source->vmotion = v;
                console_add_vmotion(console, v);
        }

        console_log_said(console, LOG_INFO, VSPC_MESSAGE_VMOTION_BEGUN, source->peer, "begins to move away from %s",
                         source->peer);

        VMotionAction action = vmotion_step(&v->state, VMOTION_ON_BEGIN);
        if (action == VMOTION_RESTART)
                vmotion_report(console, CONSOLE_VMOTION_ABORTED); /* the one that is replaced */
        vmotion_report(console, CONSOLE_VMOTION_BEGUN);

        if (action == VMOTION_RESTART)
                vmotion_restart(v, sequence, n);
        else
                vmotion_go_ahead(v);

        console_settle(console);
}

void vmotion_abort(Link *source, const uint8_t *sequence, size_t n) {
        VMotion *v = source->vmotion;

        /* One with a sequence may be about a vMotion that has been replaced since. */
        if (!v || v->source != source || (n > 0 && !vmotion_has_sequence(v, sequence, n)))
                return;

        if (vmotion_step(&v->state, VMOTION_ON_ABORT) == VMOTION_SOURCE_WINS)
                vmotion_source_wins(v, "its host has called the vMotion off");
}

/* A target has come when its vMotion was overdue and the source had been sent input again: from now on input is held
 * back once more. What has been queued for the source still leaves. */
static void vmotion_hold_again(VMotion *v) {
        Console *console = v->console;

        timeout_start(&console->concentrator->vmotion_timeouts, &v->timeout);
        v->went_ahead = false; /* until what is queued has left */
        link_flush(v->source); /* may end the source, and with it the vMotion */
        console_settle(console);
}

void vmotion_peer(Link *target, const uint8_t *data, size_t n) {
        VMotion *v = target->state == LINK_HANDSHAKE ? concentrator_find_vmotion(target->concentrator, data, n)
                                                     : NULL;
        bool overdue = v && v->state == VMOTION_OVERDUE;
        VMotionAction action = v ? vmotion_step(&v->state, VMOTION_ON_PEER) : VMOTION_IGNORE;

        if (action == VMOTION_IGNORE) {
                link_log_said(target, LOG_WARNING, VSPC_MESSAGE_VMOTION_REFUSED,
                              "names a vMotion that is not under way, or does not know its secret");
                if (target->state == LINK_HANDSHAKE)
                        link_end(target);
                return;
        }

        v->peer = target;
        target->vmotion = v;
        target->state = LINK_PEER;
        link_leave_doubts(target);
        link_update_charge(target);
        timeout_stop(&target->timeout);
        console_add_link(v->console, target);

        link_put(target, VMWARE_VMOTION_PEER_OK, v->sequence, v->sequence_size);
        if (target->state == LINK_PEER && action == VMOTION_ACCEPT_PEER)
                concentrator_notify(v->console->concentrator, v->console, CONSOLE_CHANGED, NULL);

        if (target->state == LINK_PEER && action == VMOTION_PEER_WINS)
                vmotion_peer_wins(v);
        if (target->state == LINK_PEER && overdue)
                vmotion_hold_again(v);
}

void vmotion_complete(Link *target, const uint8_t *sequence, size_t n) {
        VMotion *v = target->vmotion;

        if (!v || v->peer != target || !vmotion_has_sequence(v, sequence, n))
                return;

        if (vmotion_step(&v->state, VMOTION_ON_COMPLETE) == VMOTION_PEER_WINS)
                vmotion_peer_wins(v);
}

void vmotion_link_closed(VMotion *v, Link *link) {
        bool is_source = link == v->source;

        link->vmotion = NULL;
        if (is_source)
                v->source = NULL;
        else
                v->peer = NULL;

        switch (vmotion_step(&v->state, is_source ? VMOTION_ON_SOURCE_CLOSED : VMOTION_ON_PEER_CLOSED)) {

        case VMOTION_PEER_WINS:
                vmotion_peer_wins(v);
                break;

        case VMOTION_SOURCE_WINS:
                vmotion_source_wins(v, "the target has closed its connection");
                break;

        case VMOTION_AWAIT_PEER: /* what is held waits for the target or the timeout */
                concentrator_notify(v->console->concentrator, v->console, CONSOLE_CHANGED, NULL);
                break;

        default:
                vmotion_nobody_wins(v, is_source ? "its host has closed the connection, and no target has come"
                                                 : "the target has closed before it could be told that it is the VM "
                                                   "now");
        }
}

/* Finds a vMotion of the VM that has connected anew as @link; NULL: there is none. If the source has closed, the URI
 * alone decides. */
static VMotion *vmotion_of_newcomer(const Console *console, const Link *link) {
        VMotion *v;

        DL_FOREACH(console->vmotions, v)
                if (v->source ? link_is_same_port(v->source, link) : streq(v->uri, link->uri))
                        return v;

        return NULL;
}

void vmotion_link_came(Console *console, Link *link) {
        VMotion *v;

        while (link->state == LINK_LIVE && (v = vmotion_of_newcomer(console, link))) {
                (void) vmotion_step(&v->state, VMOTION_ON_NEWCOMER);

                console_log(console, LOG_INFO, VSPC_MESSAGE_VMOTION_ABORTED, link->peer,
                            "has connected anew from %s, its vMotion is over", link->peer);
                if (v->source)
                        link_depart(v->source);
                vmotion_end(v, link);
                vmotion_report(console, CONSOLE_VMOTION_ABORTED);
        }
}

void vmotion_discard(VMotion *v) {
        vmotion_end(v, NULL);
}

void vmotion_elapsed(Timeout *t) {
        VMotion *v = container_of(t, VMotion, timeout);

        switch (vmotion_step(&v->state, VMOTION_ON_TIMEOUT)) {

        case VMOTION_HAND_BACK:
                vmotion_hand_back(v);
                break;

        case VMOTION_NOBODY_WINS:
                vmotion_nobody_wins(v, "the source has closed, and no target has come");
                break;

        default:
                assert(false);
        }
}
