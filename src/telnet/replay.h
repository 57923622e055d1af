/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/macro.h"

/*
 * Replay: filters the scrollback for a client that connects. Terminal queries (telnet/terminal-query.h) are removed:
 * the guest sent them long ago, and would take a terminal's answers for typed keys. If older output has been dropped,
 * the replay begins with a whole line, or at least with a whole character.
 *
 * Pure functions of a position in the output and of this record, which has no pointers: a replay can be stopped at
 * any byte and resumed later, also by another process.
 */
typedef struct Replay {
        uint64_t end;       /* position of the first byte after the replay; 0: there is no replay */
        uint16_t cut_ahead; /* 1 + the distance to a sequence that interrupts the present one; 0: there is none */
        uint8_t last[3];    /* the bytes before the position: a UTF-8 character may have begun there */
} Replay;

/* The beginning of a line is searched for in the first quarter of a replay, and at most in so many bytes. */
#define REPLAY_BEGIN_MAX 4096U

/* replay_filter() must get at least so many bytes, or all that are left of the replay. */
#define REPLAY_INPUT_MIN 4096U

/* @iov: the first REPLAY_BEGIN_MAX bytes, or all, of a replay of @size bytes whose older output has been dropped.
 * Returns: the number of bytes to skip at the beginning. */
size_t replay_begin(const struct iovec *iov, size_t n_iov, size_t size);

/*
 * Copies output from @in, which begins at the position, to @out without complete queries of up to TERMINAL_QUERY_MAX
 * bytes. @more: the replay continues after these @n bytes. A query that interrupts an incomplete sequence is replaced
 * by CAN, because that sequence would otherwise continue with what follows the query.
 *
 * Returns: the number of bytes in @out, at most @n_out. *ret_used: how far to advance the position.
 */
size_t replay_filter(Replay *r, const uint8_t *in, size_t n, bool more, uint8_t *out, size_t n_out, size_t *ret_used);
