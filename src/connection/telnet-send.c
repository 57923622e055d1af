/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sending: queues commands, and sends data in telnet's encoding, without copying it if possible. */

#include "telnet-connection.h"

/* If fewer bytes than this (and not all) can be sent without copying, encoding a whole buffer is faster. */
#define GATHERED_MIN 32768U

#define SEND_BUFFER_SIZE 65536U

/* Shared by all connections, which use it only while they send */
static uint8_t send_buffer[SEND_BUFFER_SIZE];

int telnet_connection_command(TelnetConnection *t, const uint8_t *command, size_t n) {
        return telnet_session_put(&t->record.session, &t->stream.out, command, n);
}

/* Queues the second byte of a sequence if only the first one has been sent or queued. Returns: @used, or a negative errno. */
static ssize_t end_sequence(TelnetConnection *t, size_t used) {
        int r = telnet_session_complete(&t->record.session, &t->stream.out);

        return r < 0 ? r : (ssize_t) used;
}

int telnet_connection_queue(TelnetConnection *t, const void *data, size_t n) {
        int r = telnet_put_data(&t->record.session.out, &t->stream.out, data, n);

        return r < 0 ? r : (int) end_sequence(t, 0);
}

int telnet_connection_flush(TelnetConnection *t) {
        int r = stream_flush(&t->stream);

        if (t->stream.out.size == 0)
                t->record.answers = 0;
        return r;
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

ssize_t telnet_connection_send_encoded(TelnetConnection *t, const struct iovec *iov, size_t n) {
        TelnetEncoder *encoder = &t->record.session.out, before = *encoder;
        size_t used, size = encode(encoder, iov, n, send_buffer, sizeof send_buffer, &used);

        ssize_t sent = stream_send(&t->stream, &(struct iovec){send_buffer, size}, 1);
        if (sent < 0)
                return sent;

        if ((size_t) sent < size) { /* encode again, to find out how many bytes of @iov have been sent */
                *encoder = before;
                (void) encode(encoder, iov, n, send_buffer, (size_t) sent, &used);
        }

        return end_sequence(t, used);
}

ssize_t telnet_connection_send(TelnetConnection *t, const struct iovec *iov, size_t n) {
        TelnetEncoder *encoder = &t->record.session.out;
        struct iovec pieces[128];

        /* TLS copies anyway, and would send each piece as a record. */
        if (t->stream.tls)
                return telnet_connection_send_encoded(t, iov, n);

        size_t n_pieces = telnet_gather(encoder, iov, n, pieces, ELEMENTSOF(pieces));

        if (iov_size(pieces, n_pieces) < MIN(iov_size(iov, n), (size_t) GATHERED_MIN))
                return telnet_connection_send_encoded(t, iov, n);

        ssize_t sent = stream_send(&t->stream, pieces, n_pieces);
        return sent < 0 ? sent : end_sequence(t, telnet_gathered(encoder, pieces, n_pieces, (size_t) sent));
}
