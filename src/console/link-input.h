/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/*
 * What a VM is sent: the input of its console, from the link's mark in the input ring on; and when it is not taken.
 */

/* A link that has taken no input for so long, although there is some, does not set the pace if another one of its URI
 * does (console-input.c). */
#define LINK_STALL_USEC (2 * USEC_PER_SEC)

/* Sends what is queued, and input. Returns: whether it is open. */
bool link_flush(Link *l);

/* Does without the input before @mark. */
void link_skip_input(Link *l, InputMark mark);

void link_stall_elapsed(Timeout *t);
