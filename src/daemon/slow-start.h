/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * SlowStart: while vspcd starts it has no loop, and reads files, tokens and what is stored, which may take longer than
 * TimeoutStartSec=. A thread asks systemd for more time then (EXTEND_TIMEOUT_USEC=, see sd_notify(3)), for as long as
 * SLOW_START_MAX_SEC: systemd ends and restarts a vspcd that needs longer.
 */
typedef struct SlowStart SlowStart;

#define SLOW_START_MAX_SEC 600U

/* Returns: 0, -ENOTCONN if systemd does not wait for the start, or another negative errno. */
int slow_start_begin(SlowStart **ret);

/* To be called before systemd is told that the start is over. Returns: NULL. */
SlowStart *slow_start_end(SlowStart *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(SlowStart *, slow_start_end);
