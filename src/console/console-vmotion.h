/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/*
 * vMotion as it happens to a console: takes what ESXi says to vmotion_step() and does to links and input what the step asks
 * for. Those that return an int return 0, a verdict, or a negative errno.
 */
int vmotion_begin(Link *source, const uint8_t *sequence, size_t n);
void vmotion_abort(Link *source, const uint8_t *sequence, size_t n);
int vmotion_peer(Link *target, const uint8_t *data, size_t n);
void vmotion_complete(Link *target, const uint8_t *sequence, size_t n);

/* @link has had all that was typed before the vMotion: whether GOAHEAD comes next. Queues it. */
bool vmotion_owes_go_ahead(const VMotion *v, const Link *link);
int vmotion_go_ahead(VMotion *v);

/* All that was queued for @link has left. */
void vmotion_flushed(VMotion *v, const Link *link);

/* Whether @link, the source, must not be sent anything. */
bool vmotion_mutes(const VMotion *v, const Link *link);

/* @link, the source or the peer of @v, is closed, and about to go. */
void vmotion_link_closed(VMotion *v, Link *link);

/* @link is a new connection of a VM, not a vMotion's target. If a vMotion of this VM is unfinished, @link gets what was
 * held, and the source, whose host may have died, gets no more input. */
void vmotion_link_came(Console *console, Link *link);

/* Ends it for nobody: its console goes. */
void vmotion_discard(VMotion *v);
void vmotion_elapsed(Timeout *t);
