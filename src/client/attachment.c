/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "attachment.h"
#include "basic/time.h"
#include "transport/socket.h"

/* What the interface says is in force once Attach has succeeded, and may be agreed to anew. Everything else is
 * refused. */
static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_OPTION_END},
        .n_us_offered = 2,
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_him_offered = 3,
};

static void attachment_readable(Stream *s);
static void attachment_writable(Stream *s);

static const StreamHandler stream_handler = {
        .readable = attachment_readable,
        .writable = attachment_writable,
};

static void attachment_connect_next(Attachment *a);

void attachment_init(Attachment *a, Poller *poller, const AttachmentHandler *handler) {
        *a = (Attachment){
                .poller = poller,
                .handler = handler,
                .connecting.fd = -1,
                .stream.watch.fd = -1,
                .reply = BUFFER_INIT(VARLINK_REPLY_MAX),
        };
}

void attachment_close(Attachment *a) {
        if (a->connecting.fd >= 0)
                poller_close(a->poller, &a->connecting);
        a->connecting.fd = -1;

        stream_close(&a->stream);
        a->stream.watch.fd = -1;

        a->begin = sd_event_source_disable_unref(a->begin);
        a->deadline = sd_event_source_disable_unref(a->deadline);
        buffer_clear(&a->reply);
        a->n_searched = 0;
        dial_done(&a->dial);
        free(TAKE_PTR(a->call));
        a->state = ATTACHMENT_CLOSED;
}

static void attachment_end(Attachment *a, AttachmentEnd end, int error, const VarlinkReply *refusal) {
        Dial dial = TAKE(a->dial, (Dial){});

        /* Closed before anybody hears of it, but for what explains it. */
        attachment_close(a);
        a->dial = dial;
        a->handler->ended(a, end, error, refusal);
}

/* TLS has failed, or taken too long to begin. */
static void attachment_distrust(Attachment *a) {
        int error = dial_distrust(&a->dial, a->stream.tls);

        attachment_end(a, a->state == ATTACHMENT_OPEN ? ATTACHMENT_LOST : ATTACHMENT_UNREACHABLE, error,
                       NULL);
}

char *attachment_explain(const Attachment *a) {
        return dial_explain(&a->dial);
}

const char *attachment_strerror(const Attachment *a, int error) {
        return a->dial.problem ?: varlink_strerror(error);
}

static int attachment_deadline_elapsed(_unused_ sd_event_source *source, _unused_ uint64_t now,
                                       void *userdata) {
        Attachment *a = userdata;

        if (a->state == ATTACHMENT_CONNECTING) {
                dial_failed(&a->dial, -ETIMEDOUT);
                poller_close(a->poller, &a->connecting);
                attachment_connect_next(a);
        } else if (a->stream.handshake)
                attachment_distrust(a);
        else
                attachment_end(a, ATTACHMENT_LOST, -ETIMEDOUT, NULL);

        return 0;
}

static int attachment_start_deadline(Attachment *a) {
        sd_event *event = poller_event(a->poller);

        a->deadline = sd_event_source_disable_unref(a->deadline);
        return sd_event_add_time_relative(event, &a->deadline, CLOCK_MONOTONIC, ATTACHMENT_TIMEOUT_USEC, 0,
                                          attachment_deadline_elapsed, a);
}

static void attachment_call(Attachment *a, int fd) {
        const Trust *trust = a->dial.targets->trust;

        a->state = ATTACHMENT_CALLING;

        int r = stream_open(&a->stream, a->poller, WIRE_PLAIN(fd),
                            ATTACHMENT_INPUT_MAX + ATTACHMENT_ANSWERS_MAX, &stream_handler);
        if (r >= 0 && trust)
                r = stream_start_tls(&a->stream, trust_context(trust), trust_host(trust));
        if (r >= 0 && a->paused)
                stream_pause(&a->stream);
        if (r >= 0)
                r = attachment_start_deadline(a);
        if (r >= 0)
                r = buffer_append(&a->stream.out, a->call, a->call_size);
        if (r >= 0)
                r = stream_flush(&a->stream);
        if (r < 0)
                attachment_end(a, ATTACHMENT_LOST, r, NULL);
}

static void attachment_connected(Watch *w, _unused_ uint32_t events) {
        Attachment *a = container_of(w, Attachment, connecting);

        if (dial_check(&a->dial, w->fd) < 0) {
                poller_close(a->poller, w);
                attachment_connect_next(a);
                return;
        }

        poller_forget(a->poller, w);

        int fd = TAKE_FD(w->fd);
        if (!target_is_local_socket(dial_target(&a->dial)))
                socket_tune(fd);
        attachment_call(a, fd);
}

/* Returns: 0 once it has begun to connect somewhere, or a negative errno if there is nowhere left. */
static int attachment_try_next(Attachment *a) {
        int fd = dial_next(&a->dial);
        if (fd < 0)
                return fd;

        a->state = ATTACHMENT_CONNECTING;
        a->connecting = (Watch){.fd = fd, .handler = attachment_connected};

        int r = attachment_start_deadline(a);
        return r < 0 ? r : poller_watch(a->poller, &a->connecting, EPOLLOUT);
}

static void attachment_connect_next(Attachment *a) {
        int r = attachment_try_next(a);

        if (r < 0)
                attachment_end(a, ATTACHMENT_UNREACHABLE, r, NULL);
}

/* From the event loop, so that whoever opens it hears of its end from there as well. */
static int attachment_begin(_unused_ sd_event_source *source, void *userdata) {
        attachment_connect_next(userdata);
        return 0;
}

int attachment_open(Attachment *a, const Targets *targets, json_t *parameters) {
        attachment_close(a);
        a->dial = DIAL_INIT(targets);

        int r = varlink_format_call("Attach", parameters, VARLINK_UPGRADE, &a->call, &a->call_size);
        if (r < 0)
                return r;

        a->state = ATTACHMENT_CONNECTING;
        return sd_event_add_defer(poller_event(a->poller), &a->begin, attachment_begin, a);
}

static void attachment_flush(Attachment *a) {
        int r = stream_flush(&a->stream);

        if (r < 0)
                attachment_end(a, ATTACHMENT_LOST, r, NULL);
}

static void attachment_receive(Attachment *a, const uint8_t *p, size_t n) {
        while (n > 0 && a->state == ATTACHMENT_OPEN) {
                TelnetEvent event;
                TelnetAnswer answer;
                size_t used = telnet_decode(&a->telnet.in, p, n, &event);

                p += used;
                n -= used;

                if (event.type == TELNET_EVENT_DATA)
                        a->handler->received(a, event.data, event.size);
                else if (event.type == TELNET_EVENT_NEGOTIATION &&
                         telnet_session_negotiate(&a->telnet, &policy, &event, &a->stream.out, &answer) < 0)
                        attachment_end(a, ATTACHMENT_LOST, -ENOBUFS, NULL);
        }

        if (a->state == ATTACHMENT_OPEN)
                attachment_flush(a);
}

static void attachment_begin_stream(Attachment *a, const VarlinkReply *reply) {
        /* What came behind the reply is the stream's; @a may be closed by its owner meanwhile. */
        Buffer rest = TAKE(a->reply, BUFFER_INIT(VARLINK_REPLY_MAX));

        a->deadline = sd_event_source_disable_unref(a->deadline);
        telnet_session_init(&a->telnet, TELNET_CR_LF_KEPT);
        telnet_session_assume(&a->telnet, &policy);
        a->state = ATTACHMENT_OPEN;
        a->handler->opened(a, reply);

        attachment_receive(a, buffer_data(&rest), rest.size);
        buffer_clear(&rest);
}

static void attachment_receive_reply(Attachment *a, const void *p, size_t n) {
        _cleanup_reply_ VarlinkReply reply = {};

        int r = buffer_append(&a->reply, p, n);
        if (r >= 0)
                r = varlink_take_reply(&a->reply, &a->n_searched, &reply);
        if (r < 0)
                attachment_end(a, ATTACHMENT_LOST, r == -ENOBUFS ? -EMSGSIZE : r, NULL);
        else if (r > 0 && reply.error)
                attachment_end(a, ATTACHMENT_REFUSED, -EREMOTEIO, &reply);
        else if (r > 0)
                attachment_begin_stream(a, &reply);
}

static void attachment_readable(Stream *s) {
        static uint8_t buffer[ATTACHMENT_READ_MAX];
        Attachment *a = container_of(s, Attachment, stream);

        ssize_t n = stream_read(s, buffer, sizeof buffer);
        if (n == -EAGAIN)
                return;
        if (n < 0 && s->tls && (n == -EPROTO || !tls_session_is_open(s->tls)))
                attachment_distrust(a);
        else if (n <= 0)
                attachment_end(a, ATTACHMENT_LOST, n < 0 ? (int) n : -ECONNRESET, NULL);
        else if (a->state == ATTACHMENT_CALLING)
                attachment_receive_reply(a, buffer, (size_t) n);
        else
                attachment_receive(a, buffer, (size_t) n);
}

static void attachment_writable(Stream *s) {
        Attachment *a = container_of(s, Attachment, stream);

        attachment_flush(a);
        if (a->state == ATTACHMENT_OPEN)
                a->handler->sent(a);
}

size_t attachment_input_space(const Attachment *a) {
        if (a->state != ATTACHMENT_OPEN || a->stream.out.size + 2 > ATTACHMENT_INPUT_MAX)
                return 0;

        /* Each byte may take two, and one may be owed. */
        return (ATTACHMENT_INPUT_MAX - a->stream.out.size - 2) / 2;
}

size_t attachment_send(Attachment *a, const void *data, size_t n) {
        n = MIN(n, attachment_input_space(a));
        if (n == 0 || telnet_put_data(&a->telnet.out, &a->stream.out, data, n) < 0)
                return 0;

        attachment_flush(a);
        return n;
}

int attachment_break(Attachment *a) {
        if (a->state != ATTACHMENT_OPEN)
                return -ENOTCONN;

        int r = telnet_session_put(&a->telnet, &a->stream.out, (const uint8_t[]){TELNET_BRK}, 1);
        if (r < 0)
                return r;

        attachment_flush(a);
        return 0;
}

size_t attachment_unsent(const Attachment *a) {
        const Stream *s = &a->stream;

        return a->state == ATTACHMENT_OPEN ? s->out.size + (s->tls ? tls_session_unsent(s->tls) : 0) : 0;
}

void attachment_pause(Attachment *a) {
        a->paused = true;
        if (a->stream.watch.fd >= 0)
                stream_pause(&a->stream);
}

void attachment_resume(Attachment *a) {
        a->paused = false;
        if (a->stream.watch.fd >= 0)
                stream_resume(&a->stream);
}
