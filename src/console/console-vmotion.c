/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <utlist.h>

#include "console-vmotion.h"
#include "message.h"

/* @link: NULL if the source has closed */
static void vmotion_set_source(VMotion *v, Link *link) {
        v->source = link;
        v->record.source = link ? link->record.number : 0;
}

static void vmotion_set_target(VMotion *v, Link *link) {
        v->target = link;
        v->record.target = link ? link->record.number : 0;
}

/* Ends the vMotion. @winner is sent the held input; NULL: nobody is. A target that has not won is closed. */
static void vmotion_end(VMotion *v, Link *winner) {
        Link *target = v->target != winner ? v->target : NULL;
        Console *console = v->console;

        if (winner && winner != v->source)
                winner->record.input = v->source ? v->source->record.input : v->record.input;
        if (v->source) {
                v->source->vmotion = NULL;
                v->source->record.input_limit = INPUT_NO_MARK;
        }
        if (v->target)
                v->target->vmotion = NULL;
        if (target)
                link_close(target, LINK_E_VMOTION_OVER);

        concentrator_remove_vmotion(console->concentrator, v);
        console_remove_vmotion(console, v);
        vmotion_free(v);
}

static void vmotion_drop_target(VMotion *v) {
        Link *target = v->target;

        if (!target)
                return;

        vmotion_set_target(v, NULL);
        target->vmotion = NULL;
        link_close(target, LINK_E_VMOTION_OVER);
}

static void vmotion_start_timeout(VMotion *v) {
        timeout_start(concentrator_timeouts(v->console->concentrator, TIMEOUT_VMOTION), &v->timeout);
        v->record.timeout_since = v->timeout.since_usec;
}

/* Holds input from now on. The source is sent the input typed so far, then GOAHEAD. */
static void vmotion_hold(VMotion *v) {
        vmotion_start_timeout(v);
        v->record.go_ahead = VMOTION_GO_AHEAD_DUE;
        v->source->record.input_limit = input_ring_end(&v->console->input);
}

bool vmotion_owes_go_ahead(const VMotion *v, const Link *link) {
        return link == v->source && v->record.go_ahead == VMOTION_GO_AHEAD_DUE;
}

int vmotion_go_ahead(VMotion *v) {
        uint8_t data[VMOTION_SEQUENCE_MAX + VMOTION_SECRET_SIZE];

        memcpy(data, v->record.sequence, v->record.sequence_size);
        memcpy(data + v->record.sequence_size, v->record.secret, sizeof v->record.secret);

        v->record.go_ahead = VMOTION_GO_AHEAD_QUEUED;
        int r = link_put(v->source, VMWARE_VMOTION_GOAHEAD, data, v->record.sequence_size + sizeof v->record.secret);
        explicit_bzero(data, sizeof data);
        return r;
}

void vmotion_flushed(VMotion *v, const Link *link) {
        if (v->source == link && v->record.go_ahead == VMOTION_GO_AHEAD_QUEUED)
                v->record.go_ahead = VMOTION_GO_AHEAD_SENT;
}

bool vmotion_mutes(const VMotion *v, const Link *link) {
        return v->source == link && v->record.go_ahead == VMOTION_GO_AHEAD_SENT && vmotion_state_holds(v->record.state);
}

/* Tells observers, and updates the metrics. */
static void vmotion_report(Console *console, ConsoleEvent event) {
        Metrics *m = concentrator_metrics(console->concentrator);

        if (event == CONSOLE_VMOTION_BEGUN)
                m->vmotions_begun++;
        else if (event == CONSOLE_VMOTION_COMPLETE)
                m->vmotions_completed++;
        else
                m->vmotions_aborted++;

        concentrator_notify(console->concentrator, console, event, NULL);
}

static void vmotion_target_wins(VMotion *v) {
        Console *console = v->console;
        Link *target = v->target, *source = v->source;

        (void) console_end_absence(console);
        console_log(console, LOG_INFO, VSPC_MESSAGE_VMOTION_COMPLETE, target->record.peer, "has moved to %s", target->record.peer);
        if (!target->uri)
                target->uri = TAKE_PTR(v->uri);
        link_go_live(target, source);
        if (source)
                link_hand_over(source);

        vmotion_end(v, target);
        vmotion_report(console, CONSOLE_VMOTION_COMPLETE);
}

static void vmotion_source_wins(VMotion *v, const char *why) {
        Console *console = v->console;

        console_log_limited(console, LOG_INFO, VSPC_MESSAGE_VMOTION_ABORTED, v->source->record.peer, "stays on %s: %s",
                            v->source->record.peer, why);
        vmotion_end(v, v->source);
        vmotion_report(console, CONSOLE_VMOTION_ABORTED);
}

static void vmotion_nobody_wins(VMotion *v, const char *why) {
        Console *console = v->console;

        uint64_t n = v->source ? 0 : input_ring_lag(&console->input, &v->record.input);

        if (n > 0)
                console_log(console, LOG_WARNING, VSPC_MESSAGE_VMOTION_ABORTED, NULL,
                            "is gone in a vMotion: %s; %" PRIu64 " bytes of input are dropped", why, n);
        else
                console_log(console, LOG_INFO, VSPC_MESSAGE_VMOTION_ABORTED, NULL, "is gone in a vMotion: %s", why);
        vmotion_end(v, NULL);
        vmotion_report(console, CONSOLE_VMOTION_ABORTED);
}

/* Sends input to the source again, because it may stay the VM forever. The target may still come, or complete. */
static void vmotion_hand_back(VMotion *v) {
        Console *console = v->console;
        Link *source = v->source;

        console_log_limited(console, LOG_NOTICE, VSPC_MESSAGE_VMOTION_OVERDUE, source->record.peer,
                            "its vMotion takes longer than VMotionTimeoutSec=: until a target completes it, what is typed "
                            "goes to %s again", source->record.peer);
        source->record.input_limit = INPUT_NO_MARK;
        console_has_news(console);
}

static int vmotion_not_now(Link *l, const uint8_t *sequence, size_t n, const char *why) {
        link_log_limited(l, LOG_NOTICE, VSPC_MESSAGE_VMOTION_REFUSED, "vMotion refused: %s", why);
        return link_put(l, VMWARE_VMOTION_NOTNOW, sequence, n);
}

/* The source begins another vMotion, which replaces this one. The held input is sent to the source before the new GOAHEAD:
 * "only after everything queued for this VM has been sent". */
static int vmotion_restart(VMotion *v, const uint8_t *sequence, size_t n) {
        Concentrator *c = v->console->concentrator;

        vmotion_drop_target(v);

        concentrator_remove_vmotion(c, v);
        int r = vmotion_renew(v, sequence, n);
        if (r >= 0)
                r = concentrator_add_vmotion(c, v);
        if (r < 0) {
                Console *console = v->console;
                Link *source = v->source;

                vmotion_end(v, source);
                vmotion_report(console, CONSOLE_VMOTION_ABORTED);
                return vmotion_not_now(source, sequence, n, strerror(-r));
        }

        vmotion_hold(v);
        return 0;
}

/* If there are too many vMotions, ends the oldest one, but only if its source has closed. Strangers can begin any number of
 * vMotions, but a host that really moves a VM stays connected until the target has come. Returns: whether there is room. */
static bool vmotion_make_room(Concentrator *c) {
        Timeout *t = concentrator_timeouts(c, TIMEOUT_VMOTION)->oldest;

        if (concentrator_counts(c)->n_vmotions < CONCENTRATOR_VMOTIONS_MAX)
                return true;

        VMotion *oldest = t ? container_of(t, VMotion, timeout) : NULL;
        if (!oldest || oldest->source)
                return false;

        vmotion_nobody_wins(oldest, "the source has closed, and too many other vMotions are under way");
        return true;
}

int vmotion_begin(Link *source, const uint8_t *sequence, size_t n) {
        Console *console = source->console;
        VMotion *v = source->vmotion;

        if (source->record.state != LINK_LIVE)
                return vmotion_not_now(source, sequence, n, "it is not known yet which VM this is");
        if (n > VMOTION_SEQUENCE_MAX)
                return vmotion_not_now(source, sequence, n, "its sequence is longer than 64 bytes");

        if (!v && console->n_vmotions >= CONSOLE_LINKS_MAX)
                return vmotion_not_now(source, sequence, n, "too many vMotions of this VM are under way");
        if (!v && !vmotion_make_room(console->concentrator))
                return vmotion_not_now(source, sequence, n, "too many vMotions are under way");

        if (!v) {
                int r = vmotion_new(source->uri, sequence, n, &v);
                if (r >= 0)
                        r = concentrator_add_vmotion(console->concentrator, v);
                if (r < 0) {
                        vmotion_freep(&v);
                        return vmotion_not_now(source, sequence, n, strerror(-r));
                }

                v->console = console;
                v->record.console = console->record.number;
                vmotion_set_source(v, source);
                source->vmotion = v;
                console_add_vmotion(console, v);
        }

        console_log_limited(console, LOG_INFO, VSPC_MESSAGE_VMOTION_BEGUN, source->record.peer, "begins to move away from %s",
                            source->record.peer);

        VMotionAction action = vmotion_step(&v->record.state, VMOTION_ON_BEGIN);
        if (action == VMOTION_RESTART)
                vmotion_report(console, CONSOLE_VMOTION_ABORTED); /* the replaced vMotion */
        vmotion_report(console, CONSOLE_VMOTION_BEGUN);

        if (action == VMOTION_RESTART)
                return vmotion_restart(v, sequence, n);

        vmotion_hold(v);
        return 0;
}

void vmotion_abort(Link *source, const uint8_t *sequence, size_t n) {
        VMotion *v = source->vmotion;

        /* The sequence of an ABORT may be that of an earlier vMotion, which has been replaced. */
        if (!v || v->source != source || (n > 0 && !vmotion_has_sequence(v, sequence, n)))
                return;

        if (vmotion_step(&v->record.state, VMOTION_ON_ABORT) == VMOTION_SOURCE_WINS)
                vmotion_source_wins(v, "its host has cancelled the vMotion");
}

/* The target of an overdue vMotion has come: input is held back again. */
static void vmotion_hold_again(VMotion *v) {
        vmotion_start_timeout(v);
        v->record.go_ahead = VMOTION_GO_AHEAD_QUEUED;
        v->source->record.input_limit = v->source->record.input;
}

int vmotion_take_target(Link *target, const uint8_t *data, size_t n) {
        VMotion *v = target->record.state == LINK_HANDSHAKE ? concentrator_find_vmotion(target->concentrator, data, n)
                                                     : NULL;
        bool overdue = v && v->record.state == VMOTION_OVERDUE;
        VMotionAction action = v ? vmotion_step(&v->record.state, VMOTION_ON_TARGET) : VMOTION_IGNORE;

        if (action == VMOTION_IGNORE) {
                link_log_limited(target, LOG_WARNING, VSPC_MESSAGE_VMOTION_REFUSED,
                                 "names an unknown vMotion, or has the wrong secret");
                return target->record.state == LINK_HANDSHAKE ? LINK_E_NO_VMOTION : 0;
        }

        vmotion_set_target(v, target);
        link_become_target(target, v);
        int r = link_put(target, VMWARE_VMOTION_PEER_OK, v->record.sequence, v->record.sequence_size);

        if (action == VMOTION_ACCEPT_TARGET)
                console_has_news(v->console);
        if (overdue)
                vmotion_hold_again(v);
        if (action == VMOTION_TARGET_WINS)
                vmotion_target_wins(v);

        return r;
}

void vmotion_complete(Link *target, const uint8_t *sequence, size_t n) {
        VMotion *v = target->vmotion;

        if (!v || v->target != target || !vmotion_has_sequence(v, sequence, n))
                return;

        if (vmotion_step(&v->record.state, VMOTION_ON_COMPLETE) == VMOTION_TARGET_WINS)
                vmotion_target_wins(v);
}

void vmotion_link_closed(VMotion *v, Link *link) {
        bool is_source = link == v->source;

        link->vmotion = NULL;
        if (is_source) {
                vmotion_set_source(v, NULL);
                v->record.input = link->record.input;
        } else
                vmotion_set_target(v, NULL);

        switch (vmotion_step(&v->record.state, is_source ? VMOTION_ON_SOURCE_CLOSED : VMOTION_ON_TARGET_CLOSED)) {

        case VMOTION_TARGET_WINS:
                vmotion_target_wins(v);
                break;

        case VMOTION_SOURCE_WINS:
                vmotion_source_wins(v, "the target has closed its connection");
                break;

        case VMOTION_AWAIT_TARGET: /* the held input waits for the target or the timeout */
                console_has_news(v->console);
                break;

        default:
                vmotion_nobody_wins(v, is_source ? "its host has closed the connection, and no target has come"
                                                 : "the target has closed its connection, too");
        }
}

/* Finds a vMotion of the VM that has made the new connection @link. If the source has closed, the URIs are compared. Returns:
 * NULL if there is none. */
static VMotion *vmotion_of_newcomer(const Console *console, const Link *link) {
        VMotion *v;

        DL_FOREACH(console->vmotions, v)
                if (v->source ? link_is_same_port(v->source, link) : streq(v->uri, link->uri))
                        return v;

        return NULL;
}

void vmotion_link_came(Console *console, Link *link) {
        VMotion *v;

        while ((v = vmotion_of_newcomer(console, link))) {
                (void) vmotion_step(&v->record.state, VMOTION_ON_NEWCOMER);

                console_log(console, LOG_INFO, VSPC_MESSAGE_VMOTION_ABORTED, link->record.peer,
                            "has reconnected from %s, its vMotion has ended", link->record.peer);
                if (v->source)
                        link_hand_over(v->source);
                vmotion_end(v, link);
                vmotion_report(console, CONSOLE_VMOTION_ABORTED);
        }
}

void vmotion_discard(VMotion *v) {
        vmotion_end(v, NULL);
}

void vmotion_elapsed(Timeout *t) {
        VMotion *v = container_of(t, VMotion, timeout);

        switch (vmotion_step(&v->record.state, VMOTION_ON_TIMEOUT)) {

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
