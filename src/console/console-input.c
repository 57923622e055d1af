/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Input from clients to a console's links. It is in the console's input ring, in which each link has a position. Clients wait
 * for the links that set the pace. */

#include <utlist.h>

#include "link.h"

/* Returns: whether @l is the source of a vMotion that holds input: then it is only sent input from before the vMotion. */
static bool link_is_held(const Link *l) {
        return l->vmotion && l->vmotion->source == l && vmotion_state_holds(l->vmotion->record.state);
}

static bool links_share_uri(const Link *a, const Link *b) {
        return a->uri && b->uri && streq(a->uri, b->uri);
}

/* Returns: whether @l may be a link that sets the pace. */
static bool link_may_set_pace(const Link *l) {
        return l->record.state == LINK_LIVE && !link_is_held(l) && !l->telnet.stream.broken;
}

/* Returns: whether clients wait for @l. Among the links with one URI, only one sets the pace: the newest one that takes input,
 * or the newest if none does. The hosts of the others are gone, or soon will be. */
static bool link_sets_pace(const Link *l) {
        if (!link_may_set_pace(l))
                return false;

        for (const Link *m = l->console->links; m; m = m->console_next) {
                if (m == l || !link_may_set_pace(m) || !links_share_uri(l, m))
                        continue;

                if (m->record.stalled == l->record.stalled ? m->record.number > l->record.number : l->record.stalled)
                        return false;
        }

        return true;
}

/* Returns: how many bytes may be typed until @m is @max bytes behind, even if all of them are breaks. */
static size_t space_behind(const Console *c, const InputMark *m, size_t max) {
        uint64_t lag = input_ring_lag(&c->input, m);

        return lag < max ? MIN((size_t) (max - lag), 2 * input_ring_break_space(&c->input, m)) : 0;
}

/* Returns: where in the input the winner of @v will continue. */
static const InputMark *vmotion_input(const VMotion *v) {
        return v->source ? &v->source->record.input : &v->record.input;
}

/* Returns: how many bytes may be typed until a link that sets the pace is @pace bytes behind, or a vMotion holds @held bytes. */
static size_t input_space(const Console *c, size_t pace, size_t held) {
        size_t space = TELNET_READ_MAX;
        const Link *l;
        const VMotion *v;

        DL_FOREACH2(c->links, l, console_next)
                if (link_sets_pace(l))
                        space = MIN(space, space_behind(c, &l->record.input, pace));

        DL_FOREACH(c->vmotions, v)
                if (vmotion_state_holds(v->record.state))
                        space = MIN(space, space_behind(c, vmotion_input(v), held));

        return space;
}

size_t console_input_space(const Console *c) {
        return input_space(c, CONSOLE_INPUT_MAX, CONSOLE_HELD_MAX);
}

size_t console_last_words_space(const Console *c) {
        return input_space(c, INPUT_RING_MAX, INPUT_RING_MAX);
}

bool console_holds_input(const Console *c) {
        const Link *l;

        DL_FOREACH2(c->links, l, console_next)
                if (link_may_set_pace(l) &&
                    (l->telnet.stream.out.size > 0 || !input_ring_has_reached(&c->input, &l->record.input, INPUT_NO_MARK)))
                        return true;

        return c->vmotions;
}

static const InputMark *further_behind(const InputMark *a, const InputMark *b) {
        if (!a || a->position > b->position)
                return b;

        return a->position == b->position && a->n_breaks > b->n_breaks ? b : a;
}

/* Frees the memory of input that all links have been sent. */
static void console_trim_input(Console *c) {
        const InputMark *behind = NULL;
        const Link *l;
        const VMotion *v;

        DL_FOREACH2(c->links, l, console_next)
                if (l->record.state == LINK_LIVE)
                        behind = further_behind(behind, &l->record.input);

        DL_FOREACH(c->vmotions, v)
                behind = further_behind(behind, vmotion_input(v));

        console_charge_set(&c->typed, input_ring_trim(&c->input, behind));
}

/* Drops all waiting input: links continue at its end. */
static void console_drop_input(Console *c) {
        const InputMark end = input_ring_end(&c->input);
        Link *l;
        VMotion *v;

        DL_FOREACH2(c->links, l, console_next)
                if (l->record.state == LINK_LIVE)
                        link_skip_input(l, end);

        DL_FOREACH(c->vmotions, v)
                v->record.input = end;
}

/* The account wants the memory back. */
static bool console_input_given_up(Charge *charge) {
        Console *c = container_of(charge, ConsoleCharge, charge)->console;

        console_drop_input(c);
        console_trim_input(c);
        console_changed(c);
        return true;
}

/* Charges waiting input to the owner of the client that typed its first byte. */
static void console_charge_input(Console *c, const Charge *typist) {
        console_charge_open(&c->typed, c, typist, CHARGE_INPUT, console_input_given_up);
        console_changed(c);
}

void console_input(Console *c, const Charge *typist, const uint8_t *data, size_t n) {
        c->record.bytes_sent += n;
        concentrator_metrics(c->concentrator)->vm_bytes_sent += n;

        if (input_ring_append(&c->input, data, n) < 0)
                console_log(c, LOG_ERR, NULL, NULL, "no memory for input, %zu bytes are lost", n);
        console_charge_input(c, typist);
}

void console_break(Console *c, const Charge *typist) {
        if (input_ring_append_break(&c->input) < 0)
                console_log(c, LOG_ERR, NULL, NULL, "no memory for a break, it is lost");
        console_charge_input(c, typist);
}

void console_flush_input(Console *c) {
        Link *l, *next;

        DL_FOREACH_SAFE2(c->links, l, next, console_next)
                link_flush(l);

        console_trim_input(c);
}
