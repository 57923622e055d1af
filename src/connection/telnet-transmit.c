/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "telnet-transmit.h"

/* If less than this much can be sent without a copy, and not all, it is better to encode a whole buffer. */
#define GATHERED_MIN 32768U

/* A sequence that has been begun is ended, so that a command may follow. Returns: @used, or a negative errno. */
static ssize_t end_sequence(Stream *stream, TelnetSession *session, size_t used) {
        int r = telnet_session_settle(session, &stream->out);

        return r < 0 ? r : (ssize_t) used;
}

static size_t iov_size(const struct iovec *iov, size_t n) {
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += iov[i].iov_len;

        return size;
}

static size_t encode(TelnetEncoder *e, const struct iovec *iov, size_t n, uint8_t *out, size_t max, size_t *ret_used) {
        size_t size = 0;

        *ret_used = 0;
        for (size_t i = 0; i < n && size < max; i++) {
                size_t used;

                size += telnet_encode(e, iov[i].iov_base, iov[i].iov_len, out + size, max - size, &used);
                *ret_used += used;
                if (used < iov[i].iov_len)
                        break;
        }

        return size;
}

ssize_t telnet_transmit_encoded(Stream *stream, TelnetSession *session, const struct iovec *iov, size_t n, uint8_t *buffer) {
        TelnetEncoder before = session->out;
        size_t used, size = encode(&session->out, iov, n, buffer, TELNET_TRANSMIT_BUFFER, &used);

        ssize_t sent = stream_send(stream, &(struct iovec){buffer, size}, 1);
        if (sent < 0 || (size_t) sent == size)
                return sent < 0 ? sent : (ssize_t) used;

        /* Once more, to learn how much of @iov the bytes sent stand for. */
        session->out = before;
        (void) encode(&session->out, iov, n, buffer, (size_t) sent, &used);
        return end_sequence(stream, session, used);
}

ssize_t telnet_transmit(Stream *stream, TelnetSession *session, const struct iovec *iov, size_t n, uint8_t *buffer) {
        struct iovec pieces[128];

        /* TLS copies anyway, and would make a record of each piece. */
        if (stream->tls)
                return telnet_transmit_encoded(stream, session, iov, n, buffer);

        size_t n_pieces = telnet_gather(&session->out, iov, n, pieces, ELEMENTSOF(pieces));

        if (iov_size(pieces, n_pieces) < MIN(iov_size(iov, n), (size_t) GATHERED_MIN))
                return telnet_transmit_encoded(stream, session, iov, n, buffer);

        ssize_t sent = stream_send(stream, pieces, n_pieces);
        return sent < 0 ? sent
                        : end_sequence(stream, session,
                                       telnet_gathered(&session->out, pieces, n_pieces, (size_t) sent));
}
