/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * Descriptors that block: for programs that do nothing else meanwhile, and for threads. Never for the event loop.
 */

/* Writes all @n bytes. Returns: 0 or a negative errno. */
int fd_write_all(int fd, const void *data, size_t n);

/* Copies from @from to @to until the end of @from. Returns: 0 or a negative errno. */
int fd_copy(int from, int to);
