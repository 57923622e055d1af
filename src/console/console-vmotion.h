/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/*
 * vMotions of a console: passes events from ESXi to vmotion_step() and carries out the action. Functions that return an int
 * return 0, a verdict, or a negative errno.
 */
int vmotion_begin(Link *source, const uint8_t *sequence, size_t n);
void vmotion_abort(Link *source, const uint8_t *sequence, size_t n);
int vmotion_take_target(Link *target, const uint8_t *data, size_t n);
void vmotion_complete(Link *target, const uint8_t *sequence, size_t n);

/* owes_go_ahead(): whether @link must be sent GOAHEAD once it has been sent all input typed before the vMotion. go_ahead():
 * queues GOAHEAD. */
bool vmotion_owes_go_ahead(const VMotion *v, const Link *link);
int vmotion_go_ahead(VMotion *v);

/* To be called when the kernel has accepted everything that was queued for @link. */
void vmotion_flushed(VMotion *v, const Link *link);

/* Returns: whether nothing may be sent to @link, because it is the source and has been sent GOAHEAD. */
bool vmotion_mutes(const VMotion *v, const Link *link);

/* @link, the source or the target of @v, has been closed and is about to be freed. */
void vmotion_link_closed(VMotion *v, Link *link);

/* @link is a new connection of a VM that is not a vMotion's target. An unfinished vMotion of this VM ends: @link is sent the
 * held input, and the source, whose host may have died, is sent no more input. */
void vmotion_link_came(Console *console, Link *link);

/* Ends the vMotion without a winner, because its console is freed. */
void vmotion_discard(VMotion *v);
void vmotion_elapsed(Timeout *t);
