/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The handover at the end of a vMotion: the target becomes live, and its output follows that of the source. */

#include "identification.h"
#include "suboptions.h"

static void link_begin_handover(Link *l, Link *source) {
        l->handover_from = source;
        l->record.handover_from = source->record.number;
        source->handover_to = l;
        source->record.talked = false;
        timeout_start(concentrator_timeouts(l->concentrator, TIMEOUT_HANDOVER), &l->handover);
}

void link_end_handover(Link *l) {
        timeout_stop(&l->handover);
        l->record.handover_from = 0;
        TAKE_PTR(l->handover_from)->handover_to = NULL;
}

void link_become_target(Link *l, VMotion *v) {
        l->vmotion = v;
        l->record.state = LINK_TARGET;
        link_leave_doubts(l);
        link_update_charge(l);
        timeout_stop(&l->timeout);
        console_add_link(v->console, l);
}

void link_go_live(Link *l, Link *source) {
        l->record.state = LINK_LIVE;
        console_links_changed(l->console);
        link_update_charge(l);
        concentrator_metrics(l->concentrator)->vm_connections++;
        timeout_stop(&l->timeout);
        link_rename_console(l);
        l->record.input = input_ring_end(&l->console->input);

        if (source)
                link_begin_handover(l, source);

        link_deliver_pending(l);
        link_update_reading(l);
}

void link_hand_over(Link *l) {
        l->record.state = LINK_HANDED_OVER;
        l->telnet.record.mute = true;
        timeout_stop(&l->stall);
        console_links_changed(l->console);
        buffer_clear(&l->telnet.stream.out);
        if (l->verdict == 0)
                link_start_timeout(l, TIMEOUT_HANDED_OVER);
}

/* Returns: whether the link has sent output since the last call, or may have but has not been read. */
static bool link_has_more_to_say(Link *l) {
        return TAKE(l->record.talked, false) || !link_is_heard(l) || l->console->output_blocked ||
               stream_has_unread(&l->telnet.stream);
}

void link_handover_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, handover);

        if (l->handover_from->verdict == 0 && link_has_more_to_say(l->handover_from)) {
                timeout_start(concentrator_timeouts(l->concentrator, TIMEOUT_HANDOVER), t);
                return;
        }

        /* The source has sent its last output: deliver that of the target. */
        link_end_handover(l);
        link_deliver_pending(l);
        link_update_reading(l);
        console_changed(l->console);
}

void link_handed_over_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, timeout);

        if (link_has_more_to_say(l))
                link_start_timeout(l, TIMEOUT_HANDED_OVER);
        else
                link_close(l, LINK_E_HANDED_OVER);
}
