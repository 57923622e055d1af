/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/*
 * vMotion as it happens to a console: takes what ESXi says to vmotion_step() and does to links, clients and
 * held input what the step asks for.
 */
void vmotion_begin(Link *source, const uint8_t *sequence, size_t n);
void vmotion_abort(Link *source, const uint8_t *sequence, size_t n);
void vmotion_peer(Link *target, const uint8_t *data, size_t n);
void vmotion_complete(Link *target, const uint8_t *sequence, size_t n);

/* All that may be sent to @link, the source or the peer, has been queued: GOAHEAD follows if it is due. Returns: whether it
 * has been queued now. */
bool vmotion_go_ahead(VMotion *v, Link *link);

/* All that was queued for @link has left. */
void vmotion_flushed(const Link *link);

/* @link is about to close. If it is the source, the vMotion goes on from where it was in the console's input. */
void vmotion_keep_input(VMotion *v, Link *link);

/* @link, the source or the peer of @v, has closed. */
void vmotion_link_closed(VMotion *v, Link *link);

/* @link is a new connection of a VM, not a vMotion's target. If a vMotion of this VM is unfinished, @link gets what was
 * held, and the source, whose host may have died, gets no more input. */
void vmotion_link_came(Console *console, Link *link);

/* Ends it for nobody: its console goes. */
void vmotion_discard(VMotion *v);
void vmotion_elapsed(Timeout *t);
