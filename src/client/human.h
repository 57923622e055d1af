/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/time.h"

/* Times and sizes as people read them. Points in time are CLOCK_REALTIME here. */

#define HUMAN_TEXT_MAX 64U

/* "Sat 2025-11-22 10:48:21 CET" */
const char *human_timestamp(usec_t t, char buffer[static HUMAN_TEXT_MAX]);

/* "10:48:21" today, "2025-11-21 10:48:21" otherwise */
const char *human_moment(usec_t t, usec_t now, char buffer[static HUMAN_TEXT_MAX]);

/* "3min 12s ago", "2 days ago", "in 23h 59min" */
const char *human_distance(usec_t t, usec_t now, char buffer[static HUMAN_TEXT_MAX]);

/* "999B", "1.2M" */
const char *human_size(uint64_t bytes, char buffer[static HUMAN_TEXT_MAX]);
