/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/macro.h"

/*
 * Replay: the last of a VM's output, for somebody who attaches later. It is for a person to read and not for a terminal to
 * answer: where older output was cut it begins with a line or at least with a character, and what a terminal would answer
 * (telnet/terminal-query.h) is left out. The guest asked that long ago, and would take the answer for what somebody types.
 *
 * Pure functions of a position in the output and this record, which has no pointers: a replay can be resumed anywhere.
 */
typedef struct Replay {
        uint64_t end;      /* where live output begins; 0: there is no replay */
        uint16_t cut_ahead; /* so many bytes on a sequence is cut by the next one, and 1; 0: none is */
        uint8_t last[3];   /* the last bytes before the position, for UTF-8 characters */
} Replay;

/* So far into a replay, and no further than its first quarter, a line's end is looked for. */
#define REPLAY_BEGIN_MAX 4096U

/* replay_filter() needs to see so many bytes, unless the replay has fewer. */
#define REPLAY_INPUT_MIN 4096U

/* @iov: the first bytes of a replay of @size bytes before which older output was cut, REPLAY_BEGIN_MAX or all. Returns: how
 * many of them it does without. */
size_t replay_begin(const struct iovec *iov, size_t n_iov, size_t size);

/*
 * Copies the replay from @in, its bytes from the position on, to @out, but for queries. @more: there are more bytes of it than
 * these @n. A query is left out as a whole or not at all; one that cuts off another sequence, which would go on with what
 * follows, becomes a CAN.
 *
 * Returns: bytes written to @out, at most @n_out; *ret_used: the bytes of @in that they stand for, to which the position is to
 * be moved.
 */
size_t replay_filter(Replay *r, const uint8_t *in, size_t n, bool more, uint8_t *out, size_t n_out, size_t *ret_used);
