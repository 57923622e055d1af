/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "target.h"

/*
 * Asides: what is asked about a VM at the prompt of attach, over a connection of its own while the console
 * waits (for the time that one answer may take in all, and no longer).
 *
 * Both return lines of text for people, each with its end, to be freed; NULL if memory is short.
 */
char *aside_info(const Targets *targets, const char *vm);

/* *ret_cleared: whether its clients have been disconnected. */
char *aside_clear(const Targets *targets, const char *vm, bool *ret_cleared);
