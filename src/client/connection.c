/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/text.h"
#include "connection.h"
#include "terminal.h"
#include "transport/socket.h"

/* A verdict besides those of TelnetConnection: the owner's handler has closed the connection */
#define CONNECTION_E_CLOSED _TELNET_E_MAX

/* The options that are in force after Attach, by the definition of the interface. The peer may negotiate them again.
 * All others are refused. */
static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_OPTION_END},
        .n_us_offered = 2,
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_him_offered = 3,
};

const SocketAddress *connection_target(const Connection *c) {
        assert(c->n_tried > 0);

        return &c->targets->target[c->n_tried - 1];
}

Users connection_users(const Connection *c) {
        return c->n_tried > 0 && target_is_local_socket(connection_target(c)) ? USERS_OURS : USERS_FOREIGN;
}

/* Keeps the reason, and replies that were received before. */
static void connection_hang_up(Connection *c) {
        if (c->connecting.fd >= 0)
                poller_close(c->poller, &c->connecting);

        telnet_connection_close(&c->telnet);
        c->begin = sd_event_source_disable_unref(c->begin);
        c->deadline = sd_event_source_disable_unref(c->deadline);
        free(TAKE_PTR(c->call));
        c->state = CONNECTION_CLOSED;
}

void connection_close(Connection *c) {
        connection_hang_up(c);
        buffer_clear(&c->in);
        c->n_searched = c->n_tried = 0;
        c->error = 0;
        c->unreachable = c->paused = c->answered = false;
        free(TAKE_PTR(c->tried));
        free(TAKE_PTR(c->problem));
        varlink_reply_done(&c->refusal);
}

void connection_done(Connection *c) {
        connection_close(c);
        if (!c->handler && c->poller)
                c->poller = poller_free(c->poller);
}

static void connection_end(Connection *c, int error) {
        connection_hang_up(c);
        c->error = error;
        if (c->handler)
                c->handler->ended(c, error);
}

static void connection_note_failure(Connection *c, int error, const char *why) {
        _cleanup_free_ char *before = TAKE_PTR(c->tried);
        char buffer[TARGET_TEXT_MAX];

        const Bridge *bridge = c->targets->bridge;
        const char *name = bridge ? bridge->text : target_format(connection_target(c), buffer);

        c->error = error;
        _cleanup_free_ char *clean = text_sanitize(name, strlen(name), sizeof buffer);
        c->tried = text_format("%s%s%s: %s", before ?: "", before ? "; " : "", clean ?: "?", why);
}

/* Called when TLS has failed or timed out. */
static void connection_tls_failed(Connection *c) {
        const TelnetConnection *t = &c->telnet;

        c->problem = trust_explain(c->targets->trust, t->handshake ? tls_handshake_session(t->handshake) : t->stream.tls);
        c->unreachable = c->state != CONNECTION_ATTACHED;
        if (c->unreachable)
                connection_note_failure(c, -EPROTO, c->problem ?: "Out of memory");

        connection_end(c, -EPROTO);
}

static void connection_dial(Connection *c);

static int connection_deadline_elapsed(_unused_ sd_event_source *source, _unused_ uint64_t now,
                                       void *userdata) {
        Connection *c = userdata;

        if (c->state == CONNECTION_DIALING) {
                connection_note_failure(c, -ETIMEDOUT, strerror(ETIMEDOUT));
                poller_close(c->poller, &c->connecting);
                connection_dial(c);
        } else if (c->telnet.handshake)
                connection_tls_failed(c);
        else
                connection_end(c, -ETIMEDOUT);

        return 0;
}

static int connection_set_deadline(Connection *c, usec_t timeout) {
        if (c->targets->bridge)
                timeout = MAX(timeout, (usec_t) CONNECTION_BRIDGE_TIMEOUT_USEC);

        usec_t until = MIN(c->until_usec, timeout != USEC_INFINITY ? now_monotonic() + timeout : USEC_INFINITY);

        c->deadline = sd_event_source_disable_unref(c->deadline);
        if (until == USEC_INFINITY)
                return 0;

        return sd_event_add_time(poller_event(c->poller), &c->deadline, CLOCK_MONOTONIC, until, 1,
                                 connection_deadline_elapsed, c);
}

static const TelnetHandler telnet_handler;

static int connection_begin_call(Connection *c, int fd) {
        const Trust *trust = c->targets->trust;

        c->state = CONNECTION_CALLING;

        int r = telnet_connection_open(&c->telnet, c->poller, WIRE_PLAIN(fd), &telnet_handler);
        if (r >= 0 && trust)
                r = telnet_connection_start_tls(&c->telnet, trust_context(trust), trust_host(trust));
        if (r >= 0)
                r = connection_set_deadline(c, CONNECTION_TIMEOUT_USEC);
        if (r >= 0)
                r = buffer_append(&c->telnet.stream.out, c->call, c->call_size);
        if (r >= 0)
                r = stream_flush(&c->telnet.stream);
        return r;
}

/* ssh may ask for a password, but not while the terminal is a VM's. */
static int connection_bridge(Connection *c) {
        int fd = bridge_open(c->targets->bridge, terminal_is_raw() ? BRIDGE_PROMPTS_NOT : BRIDGE_MAY_PROMPT);

        return fd < 0 ? fd : connection_begin_call(c, fd);
}

static void connection_connected(Watch *w, _unused_ uint32_t events) {
        Connection *c = container_of(w, Connection, connecting);

        int r = socket_take_error(w->fd);
        if (r < 0) {
                connection_note_failure(c, r, strerror(-r));
                poller_close(c->poller, w);
                connection_dial(c);
                return;
        }

        poller_forget(c->poller, w);
        r = connection_begin_call(c, TAKE_FD(w->fd));
        if (r < 0)
                connection_end(c, r);
}

static int connection_try(Connection *c, const SocketAddress *target) {
        int fd = socket_connect(target);
        if (fd < 0)
                return fd;

        c->connecting = (Watch){.fd = fd, .handler = connection_connected};

        int r = connection_set_deadline(c, CONNECTION_TIMEOUT_USEC);
        if (r >= 0)
                r = poller_watch(c->poller, &c->connecting, EPOLLOUT);
        if (r < 0)
                poller_close(c->poller, &c->connecting);
        return r;
}

/* Tries the next target, until connecting to one is in progress or none is left. */
static void connection_dial(Connection *c) {
        while (c->n_tried < c->targets->n) {
                c->n_tried++;

                int r = c->targets->bridge ? connection_bridge(c) : connection_try(c, connection_target(c));
                if (r >= 0)
                        return;

                connection_note_failure(c, r, strerror(-r));
        }

        c->unreachable = true;
        connection_end(c, c->error);
}

/* Called by the event loop, so that errors are also reported from there. */
static int connection_begin(_unused_ sd_event_source *source, void *userdata) {
        connection_dial(userdata);
        return 0;
}

static int connection_make_loop(Connection *c) {
        sd_event *event = NULL;

        int r = sd_event_new(&event);
        if (r >= 0)
                r = poller_new(event, &c->poller);

        sd_event_unref(event); /* the poller has it */
        return r;
}

int connection_call(Connection *c, const char *method, json_t *parameters, VarlinkFlags flags) {
        _cleanup_free_ char *text = NULL;
        size_t size;

        int r = varlink_format_call(method, parameters, flags, &text, &size);
        if (r < 0)
                return r;

        if (c->state == CONNECTION_CALLING) {
                r = buffer_append(&c->telnet.stream.out, text, size);
                return r < 0 ? r : MIN(stream_flush(&c->telnet.stream), 0);
        }

        connection_close(c);
        if (!c->poller)
                r = connection_make_loop(c);
        if (r < 0)
                return r;

        c->call = TAKE_PTR(text);
        c->call_size = size;
        c->state = CONNECTION_DIALING;
        return sd_event_add_defer(poller_event(c->poller), &c->begin, connection_begin, c);
}

int connection_receive(Connection *c, usec_t timeout, VarlinkReply *ret) {
        VarlinkReply reply = {};

        int r = varlink_take_reply(&c->in, &c->n_searched, &reply);
        if (r == 0 && c->state == CONNECTION_CALLING)
                r = connection_set_deadline(c, timeout);
        if (r == 0)
                telnet_connection_want(&c->telnet, TELNET_WANTS_DATA);

        while (r == 0) {
                if (c->state == CONNECTION_CLOSED) {
                        assert(c->error < 0);
                        return c->error;
                }

                r = sd_event_run(poller_event(c->poller), UINT64_MAX);
                if (r >= 0)
                        r = varlink_take_reply(&c->in, &c->n_searched, &reply);
        }
        if (r < 0)
                return r;

        if (reply.error) {
                varlink_reply_done(&c->refusal);
                c->refusal = reply;
                return -EREMOTEIO;
        }

        *ret = reply;
        return 0;
}

int connection_ask(Connection *c, const char *method, json_t *parameters, VarlinkReply *ret) {
        int r = connection_call(c, method, parameters, VARLINK_ONE);

        return r < 0 ? r : connection_receive(c, CONNECTION_TIMEOUT_USEC, ret);
}

static const char *hint(const Connection *c) {
        const SocketAddress *first = &c->targets->target[0];
        bool refused = c->error == -ECONNREFUSED;

        if (c->error == -EACCES && target_is_default_socket(first))
                return "\nYou are not in group vspc: \"usermod -aG vspc USER\", and log in again.";
        if (target_is_local_socket(first) && (refused || c->error == -ENOENT))
                return "\nStart its sockets with \"systemctl start vspc.socket\", or say where it is: "
                       "--host=HOST[:PORT] or --socket=PATH.";
        if (refused && c->targets->trust)
                return "\nvspcd can be reached from other hosts only if its vspc-admin-tls.socket is enabled.";
        if (refused)
                return "\nBy default, vspcd accepts connections without TLS "
                       "from its own host only.";

        return "";
}

char *connection_explain(const Connection *c, int error) {
        if (c->unreachable)
                return text_format("Cannot reach vspcd: %s%s", c->tried ?: strerror(-error), hint(c));
        if (error == -EPROTO && c->problem)
                return text_format("TLS has failed: %s", c->problem);

        return strdup(varlink_strerror(error));
}

static void connection_flush(Connection *c) {
        int r = stream_flush(&c->telnet.stream);

        if (r < 0)
                connection_end(c, r);
}

static int connection_attach(Connection *c, const VarlinkReply *reply) {
        /* Bytes after the reply belong to the stream. The owner's handler may close the connection. */
        Buffer rest = TAKE(c->in, BUFFER_INIT(VARLINK_REPLY_MAX));

        c->deadline = sd_event_source_disable_unref(c->deadline);
        telnet_connection_begin(&c->telnet, &policy);
        telnet_session_assume(&c->telnet.record.session, &policy);
        c->state = CONNECTION_ATTACHED;
        c->handler->attached(c, reply);

        int r = c->state == CONNECTION_ATTACHED ? telnet_connection_receive(&c->telnet, (uint8_t *) buffer_data(&rest), rest.size)
                                                : CONNECTION_E_CLOSED;
        buffer_clear(&rest);
        return r;
}

/* Handles a reply if there is a handler; otherwise connection_receive() does. */
static int connection_take_reply(Connection *c) {
        _cleanup_reply_ VarlinkReply reply = {};

        int r = varlink_take_reply(&c->in, &c->n_searched, &reply);
        if (r > 0 && reply.error) {
                c->refusal = TAKE(reply, (VarlinkReply){});
                return -EREMOTEIO;
        }

        return r > 0 ? connection_attach(c, &reply) : r;
}

static int connection_add_replies(Connection *c, const void *p, size_t n) {
        int r = buffer_append(&c->in, p, n);

        return r >= 0 && c->handler ? connection_take_reply(c) : r;
}

static int connection_data(TelnetConnection *t, uint8_t *data, size_t n) {
        Connection *c = container_of(t, Connection, telnet);

        c->answered = true;
        if (c->state == CONNECTION_CALLING)
                return connection_add_replies(c, data, n);

        c->handler->received(c, data, n);
        return c->state == CONNECTION_ATTACHED ? 0 : CONNECTION_E_CLOSED;
}

static size_t connection_space(TelnetConnection *t) {
        Connection *c = container_of(t, Connection, telnet);
        size_t space = c->state == CONNECTION_CALLING ? buffer_space(&c->in) : CONNECTION_READ_MAX;

        if (space == 0) /* replies are removed from the buffer first */
                telnet_connection_want(t, TELNET_WANTS_NOTHING);
        return MIN(space, (size_t) CONNECTION_READ_MAX);
}

static void connection_received(TelnetConnection *t, _unused_ size_t n) {
        connection_flush(container_of(t, Connection, telnet));
}

static void connection_closed(TelnetConnection *t, int verdict) {
        Connection *c = container_of(t, Connection, telnet);

        if (c->targets->bridge && !c->answered && verdict != CONNECTION_E_CLOSED) {
                c->unreachable = true;
                connection_note_failure(c, -ECONNRESET, "ssh has ended, or vspc-client there");
                connection_end(c, -ECONNRESET);
                return;
        }

        switch (verdict) {

        case CONNECTION_E_CLOSED:
                break;

        case TELNET_E_TLS:
                connection_tls_failed(c);
                break;

        case TELNET_E_ENDED:
                connection_end(c, -ECONNRESET);
                break;

        case TELNET_E_DEAF:
                connection_end(c, -ENOBUFS);
                break;

        default:
                connection_end(c, t->error);
        }
}

static void connection_writable(TelnetConnection *t) {
        Connection *c = container_of(t, Connection, telnet);

        connection_flush(c);
        if (c->state == CONNECTION_ATTACHED)
                c->handler->sent(c);
}

static const TelnetHandler telnet_handler = {
        .line_end = TELNET_CR_LF_KEPT,
        .out_max = CONNECTION_INPUT_MAX + CONNECTION_ANSWERS_MAX,
        .answers_max = CONNECTION_ANSWERS_MAX,
        .space = connection_space,
        .data = connection_data,
        .received = connection_received,
        .closed = connection_closed,
        .writable = connection_writable,
};

size_t connection_input_space(const Connection *c) {
        if (c->state != CONNECTION_ATTACHED || c->telnet.stream.out.size + 2 > CONNECTION_INPUT_MAX)
                return 0;

        /* A byte may be doubled, and the encoder may owe one more. */
        return (CONNECTION_INPUT_MAX - c->telnet.stream.out.size - 2) / 2;
}

size_t connection_send(Connection *c, const void *data, size_t n) {
        n = MIN(n, connection_input_space(c));
        if (n == 0 || telnet_connection_queue(&c->telnet, data, n) < 0)
                return 0;

        connection_flush(c);
        return n;
}

int connection_send_break(Connection *c) {
        if (c->state != CONNECTION_ATTACHED)
                return -ENOTCONN;

        int r = telnet_connection_command(&c->telnet, (const uint8_t[]){TELNET_BRK}, 1);
        if (r >= 0)
                connection_flush(c);
        return r;
}

size_t connection_unsent(const Connection *c) {
        const Stream *s = &c->telnet.stream;

        return c->state == CONNECTION_ATTACHED ? s->out.size + (s->tls ? tls_session_unsent(s->tls) : 0) : 0;
}

void connection_pause(Connection *c) {
        c->paused = true;
        telnet_connection_want(&c->telnet, TELNET_WANTS_NOTHING);
}

void connection_resume(Connection *c) {
        c->paused = false;
        telnet_connection_want(&c->telnet, TELNET_WANTS_DATA);
}
