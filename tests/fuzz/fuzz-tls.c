/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A stranger begins TLS, or something that looks like it, in any bytes and segments: he does not get past
 * the handshake, nothing that he says is data, what he makes us say has a bound, and the stream either waits
 * for more or has come to an end for which there is a reason.
 */

#include <fcntl.h>
#include <sys/socket.h>

#include "certificate.h"
#include "fuzz.h"
#include "transport/stream.h"
#include "transport/tls-handshake.h"

#define ANSWER_MAX 8192U

typedef struct Stranger {
        Stream stream;
        TlsHandshake *handshake;
        ssize_t end; /* what reading has said; 1: nothing yet */
} Stranger;

static void on_readable(Stream *s) {
        Stranger *stranger = container_of(s, Stranger, stream);
        uint8_t data[64];

        ssize_t n = stream_read(s, data, sizeof data);
        if (n == -EAGAIN)
                return;

        assert(n == -EPROTO || n == -ECONNRESET);
        stranger->end = n;
        stream_pause(s);
}

static void on_writable(Stream *s) {
        int r = stream_flush(s);

        assert(r >= 0);
}

static const StreamHandler handler = {.readable = on_readable, .writable = on_writable};

static void on_stepped(_unused_ void *userdata) {
}

static void on_done(void *userdata, Wire wire) {
        Stranger *stranger = userdata;

        stranger->handshake = NULL;
        stream_reopen(&stranger->stream, wire);
}

static const TlsHandshakeHandler handshake_handler = {.stepped = on_stepped, .done = on_done};

static TlsContext *make_context(void) {
        static const CertificateOptions options = {.name = "vspc", .valid_until = INT32_MAX};
        char path[] = "/tmp/vspc-fuzz-tls-XXXXXX", *problem = NULL;
        TlsParameters parameters = {.role = TLS_SERVER, .certificate_file = path};
        TlsContext *context = NULL;

        Certificate certificate = certificate_make(&options);
        certificate_save(&certificate, 1, path);
        certificate_done(&certificate);

        int r = ticket_key_new(NULL, &parameters.ticket_key);
        assert(r == 0);
        r = tls_context_new(&parameters, &context, &problem);
        assert(r == 0);
        unlink(path);
        return context;
}

/* @n_segment: bytes of a segment; 0: all at once */
static void send_all(sd_event *event, int fd, const uint8_t *data, size_t size, size_t n_segment) {
        for (size_t n; size > 0; data += n, size -= n) {
                n = n_segment > 0 ? MIN(n_segment, size) : size;
                if (send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t) n)
                        return; /* it has been closed, or all that is more than anybody reads */
                while (sd_event_run(event, 0) > 0)
                        ;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static TlsContext *context;
        Stranger stranger = {.end = 1};
        uint8_t answer[ANSWER_MAX + 1];
        Poller *poller;
        sd_event *event;
        int fds[2];

        if (size < 2)
                return 0;
        if (!context)
                context = make_context();

        if (sd_event_new(&event) < 0 || poller_new(event, &poller) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                abort();
        if (stream_open(&stranger.stream, poller, WIRE_PLAIN(fds[0]), ANSWER_MAX, &handler) < 0 ||
            tls_handshake_new(poller, stream_release(&stranger.stream).fd, context, NULL, &handshake_handler, &stranger,
                              &stranger.handshake) < 0)
                abort();

        send_all(event, fds[1], data + 2, size - 2, data[0]);
        if (data[1] & 1)
                (void) shutdown(fds[1], SHUT_WR);
        while (sd_event_run(event, 0) > 0)
                ;

        assert(!stranger.stream.tls || !tls_session_is_open(stranger.stream.tls));
        assert(!(data[1] & 1) || stranger.end != 1);
        assert((stranger.end == 1) == (stranger.handshake != NULL));
        assert((stranger.end == 1) == (*stream_problem(&stranger.stream) == 0));
        ssize_t n = recv(fds[1], answer, sizeof answer, 0);
        assert(n <= (ssize_t) ANSWER_MAX);

        tls_handshake_free(stranger.handshake);
        stream_close(&stranger.stream);
        safe_close(fds[1]);
        poller_free(poller);
        sd_event_unref(event);
        return 0;
}
