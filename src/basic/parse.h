/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"
#include "time.h"

/*
 * Parsers for values in the syntax of systemd's configuration files (systemd.time(7), systemd.syntax(7)).
 * All return 0, -EINVAL if the text is invalid, or -ERANGE if the value is out of range.
 */

/* "90s", "1d", "5min 20s", "1.5h", "30" (seconds), "infinity" */
int parse_sec(const char *s, usec_t *ret);

/* "64K", "1M", "4096", "1.5M": multiples of 1024 */
int parse_size(const char *s, uint64_t *ret);

/* "yes", "no", "true", "false", "on", "off", "1", "0" and their first letters */
int parse_boolean(const char *s, bool *ret);

/* A decimal number from 0 to @max */
int parse_unsigned(const char *s, uint64_t max, uint64_t *ret);
