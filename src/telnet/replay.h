/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/macro.h"

/*
 * Replay: a VM's last output, as it is sent to a client that attaches later. Queries (telnet/terminal-query.h) are left
 * out: the guest sent them long ago, and would take a terminal's answers for keys. Where older output was cut, the
 * replay begins with a whole line, or at least with a whole character.
 *
 * Pure functions of a position in the output and of this record, which has no pointers: a replay can be stopped
 * at any byte and resumed later, by another process too.
 */
typedef struct Replay {
        uint64_t end;       /* position of the first live byte; 0: there is no replay */
        uint16_t cut_ahead; /* 1 + the distance to a sequence that cuts off the present one; 0: there is none */
        uint8_t last[3];    /* the bytes before the position: a UTF-8 character may have begun there */
} Replay;

/* An end of line is looked for in the first quarter of a replay, but no further than this. */
#define REPLAY_BEGIN_MAX 4096U

/* replay_filter() has to be given at least so many bytes, or all that are left of the replay. */
#define REPLAY_INPUT_MIN 4096U

/* @iov: the first REPLAY_BEGIN_MAX bytes, or all, of a replay of @size bytes whose older output was cut.
 * Returns: how many bytes to leave out at its beginning. */
size_t replay_begin(const struct iovec *iov, size_t n_iov, size_t size);

/*
 * Copies output from @in, which begins at the position, to @out and leaves out queries that are complete and
 * not longer than TERMINAL_QUERY_MAX. @more: the replay goes on beyond these @n bytes. A query that cuts off an
 * incomplete sequence becomes a CAN: without it that sequence would go on with what follows the query.
 *
 * Returns: how many bytes are in @out, at most @n_out; *ret_used: how far to move the position.
 */
size_t replay_filter(Replay *r, const uint8_t *in, size_t n, bool more, uint8_t *out, size_t n_out, size_t *ret_used);
