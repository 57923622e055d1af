/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What clients type, on its way to a console's links, or to what a vMotion holds back of it. */

#include <utlist.h>

#include "link.h"

static bool link_takes_input(const Link *l) {
        return l->state == LINK_LIVE && !(l->vmotion && vmotion_state_holds(l->vmotion->state)) && !l->stream.broken;
}

static size_t vmotion_input_space(const VMotion *v) {
        if (!vmotion_state_holds(v->state))
                return CONCENTRATOR_READ_MAX;

        /* Each byte may need two. */
        return v->held.size < VMOTION_HELD_MAX ? (VMOTION_HELD_MAX - v->held.size + 1) / 2 : 0;
}

size_t console_input_space(const Console *c) {
        size_t space = CONCENTRATOR_READ_MAX;
        const Link *l;
        const VMotion *v;

        DL_FOREACH2(c->links, l, console_next)
                if (link_takes_input(l))
                        space = MIN(space, link_input_space(l));

        DL_FOREACH(c->vmotions, v)
                space = MIN(space, vmotion_input_space(v));

        return space;
}

bool console_holds_input(const Console *c) {
        const Link *l;

        DL_FOREACH2(c->links, l, console_next)
                if (link_takes_input(l) && l->stream.out.size > 0)
                        return true;

        return c->vmotions;
}

static void console_hold(Console *c, VMotion *v, const uint8_t *data, size_t n) {
        TelnetEncoder encoder = {.transmission = TELNET_8BIT};

        if (vmotion_state_holds(v->state) && telnet_put_data(&encoder, &v->held, data, n) < 0)
                console_log(c, LOG_ERR, NULL, NULL, "no memory for input during vMotion, %zu bytes are lost", n);
}

void console_input(Console *c, const uint8_t *data, size_t n) {
        Link *l, *next;
        VMotion *v;

        c->bytes_sent += n;
        c->concentrator->metrics.vm_bytes_sent += n;

        DL_FOREACH_SAFE2(c->links, l, next, console_next)
                if (link_takes_input(l))
                        link_send(l, data, n);

        DL_FOREACH(c->vmotions, v)
                console_hold(c, v, data, n);
}

void console_break(Console *c) {
        Link *l, *next;
        VMotion *v;

        DL_FOREACH_SAFE2(c->links, l, next, console_next)
                if (link_takes_input(l))
                        link_send_break(l);

        DL_FOREACH(c->vmotions, v)
                if (vmotion_state_holds(v->state))
                        (void) buffer_append(&v->held, (uint8_t[]){TELNET_IAC, TELNET_BRK}, 2);
}

void console_flush_input(Console *c) {
        Link *l, *next;

        DL_FOREACH_SAFE2(c->links, l, next, console_next)
                link_flush(l);

        console_settle(c);
}
