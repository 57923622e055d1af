/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * SlowStart: asks systemd for more time while vspcd starts (EXTEND_TIMEOUT_USEC=, see sd_notify(3)). The start reads files,
 * tokens and the stored ports before the event loop runs, which may take longer than TimeoutStartSec=. A thread sends the
 * requests for SLOW_START_MAX_SEC at most: if vspcd needs longer, systemd restarts it.
 */
typedef struct SlowStart SlowStart;

#define SLOW_START_MAX_SEC 600U

/* Starts the thread. Returns: 0; -ENOTCONN if systemd does not wait for the start; or another negative errno. */
int slow_start_begin(SlowStart **ret);

/* Ends the thread. Must be called before systemd is told that the start is complete. Returns: NULL. */
SlowStart *slow_start_end(SlowStart *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(SlowStart *, slow_start_end);
