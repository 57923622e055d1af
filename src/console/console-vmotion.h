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

/* @link, the source or the peer of @v, has closed. */
void vmotion_link_closed(VMotion *v, Link *link);

/* A VM has connected anew, and not as a target, while its vMotion is unfinished: what was held is sent to @link, and its
 * source, whose host may have died without a word, is spoken to no more. */
void vmotion_link_came(Console *console, Link *link);

/* Ends it for nobody: its console goes. */
void vmotion_discard(VMotion *v);
void vmotion_elapsed(Timeout *t);
