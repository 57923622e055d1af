/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/*
 * vMotions of a console: passes what ESXi says to vmotion_step() and carries out the action. Functions that return an int
 * return 0, a verdict, or a negative errno.
 */
int vmotion_begin(Link *source, const uint8_t *sequence, size_t n);
void vmotion_abort(Link *source, const uint8_t *sequence, size_t n);
int vmotion_peer(Link *target, const uint8_t *data, size_t n);
void vmotion_complete(Link *target, const uint8_t *sequence, size_t n);

/* owes_go_ahead(): whether @link, which has been sent all that was typed before the vMotion, is to be sent GOAHEAD now.
 * go_ahead(): queues that. */
bool vmotion_owes_go_ahead(const VMotion *v, const Link *link);
int vmotion_go_ahead(VMotion *v);

/* All that was queued for @link has left. */
void vmotion_flushed(VMotion *v, const Link *link);

/* Whether @link, the source, must not be sent anything. */
bool vmotion_mutes(const VMotion *v, const Link *link);

/* @link, the source or the peer of @v, has been closed and is about to be freed. */
void vmotion_link_closed(VMotion *v, Link *link);

/* @link is a new connection of a VM, not a vMotion's target. If a vMotion of this VM is unfinished, it ends: @link is sent
 * what was held, and the source, whose host may have died, is sent no more input. */
void vmotion_link_came(Console *console, Link *link);

/* Ends it without a winner, because its console is freed. */
void vmotion_discard(VMotion *v);
void vmotion_elapsed(Timeout *t);
