/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "replay.h"
#include "terminal-query.h"

#define CAN 0x18 /* ends an incomplete sequence and shows nothing */

/* Bytes of a UTF-8 character after its first one */
#define CONTINUATIONS_MAX 3U

static bool is_continuation(uint8_t byte) {
        return (byte & 0xc0) == 0x80;
}

/* Returns: the number of continuation bytes at the beginning, which belong to a character whose first byte was
 * dropped; 0 if there are more than a character can have, because the text is not UTF-8 then. */
static size_t count_continuations(const struct iovec *iov, size_t n_iov) {
        size_t n = 0;

        for (size_t i = 0; i < n_iov; i++)
                for (size_t k = 0; k < iov[i].iov_len; k++) {
                        if (!is_continuation(((const uint8_t *) iov[i].iov_base)[k]))
                                return n;
                        if (++n > CONTINUATIONS_MAX)
                                return 0;
                }

        return n;
}

size_t replay_begin(const struct iovec *iov, size_t n_iov, size_t size) {
        size_t left = MIN(size / 4, (size_t) REPLAY_BEGIN_MAX), before = 0;

        for (size_t i = 0; i < n_iov && left > 0; i++) {
                size_t n = MIN(iov[i].iov_len, left);
                const uint8_t *begin = iov[i].iov_base, *lf = memchr(begin, '\n', n);

                if (lf)
                        return before + (size_t) (lf - begin) + 1;

                before += n;
                left -= n;
        }

        return count_continuations(iov, n_iov);
}

/* The byte at @in + @at and the three before it */
static void look_back(const Replay *r, const uint8_t *in, size_t at, uint8_t ret[static CONTINUATIONS_MAX + 1]) {
        for (size_t i = 0; i <= CONTINUATIONS_MAX; i++) {
                size_t back = CONTINUATIONS_MAX - i;

                ret[i] = back <= at ? in[at - back] : r->last[CONTINUATIONS_MAX - (back - at)];
        }
}

/* Returns: whether the byte at @in + @at is the last one of a UTF-8 character. */
static bool ends_character(const Replay *r, const uint8_t *in, size_t at) {
        uint8_t bytes[CONTINUATIONS_MAX + 1];
        uint32_t c;

        look_back(r, in, at, bytes);
        for (size_t n = 2; n <= sizeof bytes; n++)
                if (utf8_decode(bytes + sizeof bytes - n, n, &c) == n)
                        return true;

        return false;
}

static TerminalSequence parse(const Replay *r, const uint8_t *in, size_t at, size_t n) {
        if (terminal_is_eight_bit(in[at]) && ends_character(r, in, at))
                return (TerminalSequence){TERMINAL_OTHER, 0};

        return terminal_parse(in + at, MIN(n - at, (size_t) TERMINAL_QUERY_MAX));
}

size_t replay_filter(Replay *r, const uint8_t *in, size_t n, bool more, uint8_t *out, size_t n_out, size_t *ret_used) {
        size_t at = 0, size = 0, cut = r->cut_ahead > 0 ? r->cut_ahead - 1U : SIZE_MAX;

        static_assert(REPLAY_INPUT_MIN == TERMINAL_QUERY_MAX, "a query is either complete or too long");

        while (at < n && size < n_out) {
                size_t run = MIN(terminal_find_introducer(in + at, n - at), n_out - size);

                memcpy(out + size, in + at, run);
                at += run;
                size += run;
                if (at == n || size == n_out)
                        break;

                TerminalSequence sequence = parse(r, in, at, n);
                if (sequence.type == TERMINAL_QUERY) {
                        if (at == cut)
                                out[size++] = CAN;
                        at += sequence.size;
                        continue;
                }

                if (sequence.type == TERMINAL_OPEN && more && n - at < TERMINAL_QUERY_MAX)
                        break;
                if (sequence.type == TERMINAL_CUT)
                        cut = at + sequence.size;
                out[size++] = in[at++];
        }

        r->cut_ahead = cut != SIZE_MAX && cut >= at ? (uint16_t) (cut - at + 1) : 0;
        if (at > 0) {
                uint8_t bytes[CONTINUATIONS_MAX + 1];

                look_back(r, in, at - 1, bytes);
                memcpy(r->last, bytes + 1, sizeof r->last);
        }

        *ret_used = at;
        return size;
}
