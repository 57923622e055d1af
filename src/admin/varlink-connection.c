/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <utlist.h>

#include "basic/json-tokens.h"
#include "varlink-server.h"

/* The maximum of bytes in one read */
#define READ_MAX 16384U

/* The first byte of a pickle of Python (protocol 2 and later) */
#define PICKLE_PROTO 0x80

static void connection_set_state(VarlinkConnection *c, VarlinkState state) {
        VarlinkConnection **lists = c->server->connections;

        DL_DELETE(lists[c->state], c);
        c->state = state;
        DL_APPEND(lists[c->state], c);
}

static void connection_set_ready(VarlinkConnection *c, bool ready) {
        if (ready == c->ready)
                return;

        c->ready = ready;
        if (ready)
                DL_APPEND2(c->server->ready, c, ready_prev, ready_next);
        else
                DL_DELETE2(c->server->ready, c, ready_prev, ready_next);
        varlink_server_set_working(c->server);
}

static void timeout_set(TimeoutQueue *q, Timeout *t, bool running) {
        if (!running)
                timeout_stop(t);
        else if (!t->queue)
                timeout_start(q, t);
}

/* Frees what belongs to the connection, whose socket has been closed or handed over. */
static void connection_leave(VarlinkConnection *c) {
        connection_set_ready(c, false);
        timeout_stop(&c->call_timeout);
        timeout_stop(&c->stall_timeout);
        user_names_cancel(&c->user_name);
        charge_close(&c->waiting);
        charge_close(&c->connection);
        buffer_clear(&c->in);
        event_reader_close(&c->events);
        connection_set_state(c, VARLINK_CLOSED);
        c->server->n_connections--;
        c->server->n_limited -= c->limited;
        varlink_server_set_working(c->server);
}

void varlink_close(VarlinkConnection *c) {
        if (c->state == VARLINK_CLOSED)
                return;

        c->handshake = tls_handshake_free(c->handshake);
        stream_close(&c->stream);
        connection_leave(c);
}

void varlink_close_gently(VarlinkConnection *c) {
        closer_take(concentrator_closer(c->server->concentrator), &c->stream, &c->connection);
        connection_leave(c);
}

Wire varlink_hand_over(VarlinkConnection *c, Buffer *ret_answer, Buffer *ret_typed) {
        Wire wire = stream_release(&c->stream);

        *ret_answer = TAKE(c->stream.out, BUFFER_INIT(0));
        *ret_typed = TAKE(c->in, BUFFER_INIT(0));
        connection_leave(c);
        return wire;
}

static void connection_find_call(VarlinkConnection *c) {
        const uint8_t *data = buffer_data(&c->in);

        if (c->call_size > 0 || c->in.size == c->searched)
                return;

        const uint8_t *end = memchr(data + c->searched, 0, c->in.size - c->searched);
        if (end)
                c->call_size = (size_t) (end - data) + 1;
        else
                c->searched = c->in.size;
}

static bool connection_is_overlong(const VarlinkConnection *c) {
        return c->call_size == 0 && buffer_space(&c->in) == 0;
}

static bool connection_has_work(const VarlinkConnection *c) {
        switch (c->state) {
        case VARLINK_IDLE:
                return c->call_size > 0 || connection_is_overlong(c);
        case VARLINK_REPLYING:
                return true;
        case VARLINK_WATCHING:
                return c->more;
        default:
                return false;
        }
}

static void connection_update_charges(VarlinkConnection *c) {
        size_t itself = sizeof *c + (c->handshake ? tls_handshake_size(c->handshake) : stream_tls_size(&c->stream));

        charge_set(&c->connection, c->asked ? itself : 0);
        if (stream_has_progressed(&c->stream))
                charge_set(&c->waiting, 0); /* it has read something: makes it the last in the order of giving up */
        charge_set(&c->waiting, stream_waiting(&c->stream) + c->in.allocated + (c->asked ? 0 : itself));
}

static bool connection_has_room(const VarlinkConnection *c) {
        return c->stream.out.size < VARLINK_OUT_HIGH;
}

/* Updates everything that depends on the connection's state and buffers. Must be called after each change. */
static void connection_settle(VarlinkConnection *c) {
        VarlinkServer *s = c->server;

        if (c->state == VARLINK_CLOSED)
                return;

        bool has_work = connection_has_work(c);
        if (c->ended && !has_work && c->state != VARLINK_WAITING && stream_is_flushed(&c->stream)) {
                varlink_close(c);
                return;
        }

        bool can_send = c->stream.out.size > 0 && !c->stream.blocked;
        connection_set_ready(c, can_send || (has_work && connection_has_room(c)));

        bool reading = !c->ended && !user_names_is_asked(&c->user_name) &&
                       (c->state == VARLINK_WATCHING || (!has_work && buffer_space(&c->in) > 0));
        if (reading && !c->stream.reading)
                stream_resume(&c->stream);
        else if (!reading && c->stream.reading)
                stream_pause(&c->stream);

        connection_update_charges(c);
        timeout_set(&s->call_timeouts, &c->call_timeout,
                    c->state == VARLINK_IDLE && !has_work && (c->in.size > 0 || !c->asked));
        timeout_set(c->state == VARLINK_WATCHING ? &s->watch_stall_timeouts : &s->stall_timeouts, &c->stall_timeout,
                    c->stream.blocked);
}

static void connection_flush(VarlinkConnection *c) {
        if (c->state == VARLINK_CLOSED)
                return;

        if (stream_flush(&c->stream) < 0 || c->stream.broken) {
                varlink_close(c);
                return;
        }

        connection_settle(c);
}

void varlink_wait(VarlinkConnection *c, uint64_t number) {
        c->waits_for = number;
        connection_set_state(c, VARLINK_WAITING);
}

void varlink_answered(VarlinkConnection *c) {
        if (c->state == VARLINK_CLOSED)
                return;

        connection_set_state(c, VARLINK_IDLE);
        connection_settle(c);
}

void varlink_continue(VarlinkConnection *c, VarlinkContinuation continuation) {
        c->continuation = continuation;
        connection_set_state(c, VARLINK_REPLYING);
}

bool varlink_watch(VarlinkConnection *c, VarlinkContinuation continuation) {
        unsigned max = c->limited ? VARLINK_WATCHERS_MAX / 2 : VARLINK_WATCHERS_MAX;
        if (c->server->events.n_readers >= max)
                return false;

        event_reader_open(&c->events, &c->server->events);
        c->sees_all = rights_cover_all_vms(concentrator_rights(c->server->concentrator), &c->peer.identity);
        c->continuation = continuation;
        c->more = true;
        buffer_clear(&c->in);
        c->call_size = c->searched = 0;
        timeout_stop(&c->stall_timeout);
        connection_set_state(c, VARLINK_WATCHING);
        return true;
}

void varlink_wake(EventReader *events) {
        VarlinkConnection *c = container_of(events, VarlinkConnection, events);

        c->more = true;
        connection_settle(c);
}

static const VarlinkMethod *find_method(const VarlinkInterface *interface, const char *name) {
        for (const VarlinkMethod *m = interface->methods; m->name; m++)
                if (streq(m->name, name))
                        return m;

        return NULL;
}

static void connection_dispatch(VarlinkConnection *c, const VarlinkCall *call) {
        const char *dot = strrchr(call->method, '.');
        if (!dot) {
                varlink_reply_invalid_parameter(c, "method");
                return;
        }

        _cleanup_free_ char *name = strndup(call->method, (size_t) (dot - call->method));
        if (!name) {
                varlink_close(c);
                return;
        }

        const VarlinkInterface *interface = varlink_server_find_interface(c->server, name);
        if (!interface) {
                varlink_reply_interface_not_found(c, name);
                return;
        }

        const VarlinkMethod *method = find_method(interface, dot + 1);
        if (!method) {
                varlink_reply_method_not_found(c, call->method);
                return;
        }

        if (!call->oneway || method->kind == VARLINK_ACTS)
                method->handler(c, call);
}

/* Returns: NULL, or the name of the member that is wrong. */
static const char *call_parse(const json_t *message, VarlinkCall *ret) {
        const struct {
                const char *name;
                bool *target;
        } flags[] = {{"oneway", &ret->oneway}, {"more", &ret->more}, {"upgrade", &ret->upgrade}};

        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                const json_t *flag = json_object_get(message, flags[i].name);

                if (flag && !json_is_boolean(flag) && !json_is_null(flag))
                        return flags[i].name;
                *flags[i].target = json_is_true(flag);
        }

        ret->method = json_string_value(json_object_get(message, "method"));
        if (!ret->method)
                return "method";

        ret->parameters = json_object_get(message, "parameters");
        if (ret->parameters && !json_is_object(ret->parameters) && !json_is_null(ret->parameters))
                return "parameters";

        return NULL;
}

/* Returns: NULL if it is not an object, or has more members than any method takes. */
static json_t *parse_message(const char *text, size_t n) {
        if (json_count_tokens(text, n) > VARLINK_CALL_TOKENS_MAX)
                return NULL;

        json_t *message = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(message)) {
                json_decref(message);
                return NULL;
        }

        return message;
}

void varlink_log_mistake(VarlinkConnection *c, const char *what) {
        VarlinkServer *s = c->server;
        unsigned n = log_rate_limit_pass(&s->mistakes, concentrator_now(s->concentrator));

        if (n == 1)
                log_info("Query from %s %s, closing the connection", c->peer.text, what);
        else if (n > 1)
                log_info("Query from %s %s, closing the connection; the last of %u that were wrong", c->peer.text, what,
                         n);
}

/* Closes a connection that does not speak Varlink. A malicious page could make a browser send HTTP that contains a call: so
 * nothing that follows is read. */
static void connection_refuse(VarlinkConnection *c, const char *what, const char *parameter) {
        varlink_log_mistake(c, what);
        c->oneway = false;
        varlink_reply_invalid_parameter(c, parameter);
        if (c->state != VARLINK_CLOSED)
                varlink_close_gently(c);
}

/* Handles the first call in the buffer. */
static void connection_handle_call(VarlinkConnection *c) {
        VarlinkCall call = {};

        json_t *message = parse_message((const char *) buffer_data(&c->in), c->call_size - 1);
        if (!message) {
                /* Varlink has no error for a message that is not JSON. */
                connection_refuse(c, "is not a JSON object, or has too many members", "method");
                return;
        }

        buffer_consume(&c->in, TAKE(c->call_size, 0));
        c->searched = 0;
        c->asked = true;
        connection_find_call(c);

        const char *bad = call_parse(message, &call);
        c->oneway = call.oneway;
        if (bad)
                varlink_reply_invalid_parameter(c, bad);
        else
                connection_dispatch(c, &call);

        json_decref(message);
}

/* Handles one call, or continues an answer. */
static void connection_advance(VarlinkConnection *c) {
        if (c->state == VARLINK_IDLE && connection_is_overlong(c))
                connection_refuse(c, "is longer than 64 KiB", "parameters");
        else if (c->state == VARLINK_IDLE)
                connection_handle_call(c);
        else if (c->state == VARLINK_WATCHING)
                c->more = c->continuation(c);
        else if (c->state == VARLINK_REPLYING && !c->continuation(c) && c->state == VARLINK_REPLYING)
                connection_set_state(c, VARLINK_IDLE);

        /* moves it to the end of the list of idle connections */
        if (c->state == VARLINK_IDLE)
                connection_set_state(c, VARLINK_IDLE);
}

void varlink_connection_work(VarlinkConnection *c) {
        connection_set_ready(c, false);
        if (connection_has_work(c) && connection_has_room(c))
                connection_advance(c);

        connection_flush(c);
}

bool varlink_permits(VarlinkConnection *c, Console *console, Act act) {
        return console_permits(console, act, &c->peer.identity, &c->asker);
}

void varlink_review(VarlinkConnection *c) {
        bool saw_all = c->sees_all;

        c->sees_all = rights_cover_all_vms(concentrator_rights(c->server->concentrator), &c->peer.identity);
        if (saw_all && c->sees_all)
                return;

        c->told_anew = true;
        event_reader_skip(&c->events);
}

void varlink_expel(VarlinkConnection *c) {
        c->oneway = false;
        varlink_reply_not_permitted(c);
        if (c->state != VARLINK_CLOSED)
                varlink_close_gently(c);
}

/* Takes the peer's identity from its certificate, which is known once something has been read. Returns: whether the peer has any
 * rights. */
static bool connection_learn_name(VarlinkConnection *c) {
        const TlsSession *tls = c->stream.tls;
        const gnutls_datum_t *certificate = tls ? tls_session_peer_certificate(tls) : NULL;

        if (TAKE(c->named, true))
                return true;
        if (tls && *tls_session_peer_name(tls))
                peer_set_name(&c->peer, tls_session_peer_name(tls));
        if (certificate)
                identity_init_certificate(&c->peer.identity, certificate);

        return rights_admit(concentrator_rights(c->server->concentrator), &c->peer.identity);
}

static void connection_log_problem(VarlinkConnection *c) {
        char what[256];

        snprintf(what, sizeof what, "fails in TLS (%s)", stream_problem(&c->stream));
        varlink_log_mistake(c, what);
}

/* vSPC.py's client sends a pickle and expects one. JSON cannot begin with this byte. */
static bool connection_is_pickle(const VarlinkConnection *c) {
        return !c->asked && c->in.size > 0 && buffer_data(&c->in)[0] == PICKLE_PROTO;
}

static void connection_readable(Stream *stream) {
        VarlinkConnection *c = container_of(stream, VarlinkConnection, stream);
        size_t max = MIN((size_t) READ_MAX, buffer_space(&c->in));
        uint8_t *p = buffer_reserve(&c->in, max);

        if (!p) {
                varlink_close(c);
                return;
        }

        ssize_t n = stream_read(stream, p, max);
        buffer_commit(&c->in, (size_t) MAX(n, 0));
        if (n == -EAGAIN)
                return;
        if (n < 0) {
                if (n == -EPROTO) /* other errors are not worth logging */
                        connection_log_problem(c);
                varlink_close(c);
                return;
        }
        if (!connection_learn_name(c)) {
                varlink_log_mistake(c, "is not permitted");
                varlink_expel(c);
                return;
        }

        if (c->state == VARLINK_WATCHING)
                buffer_clear(&c->in);

        if (connection_is_pickle(c)) {
                varlink_log_mistake(c, "is from vSPC.py's vSPCClient (a pickle), which vspcd does not understand: use "
                                       "vspc-client(1) or varlinkctl(1)");
                varlink_close_gently(c);
                return;
        }

        c->ended = n == 0;
        connection_find_call(c);
        connection_settle(c);
}

static void connection_writable(Stream *stream) {
        VarlinkConnection *c = container_of(stream, VarlinkConnection, stream);

        timeout_stop(&c->stall_timeout);
        connection_flush(c);
}

static const StreamHandler connection_handler = {
        .readable = connection_readable,
        .writable = connection_writable,
};

static void connection_handshake_stepped(void *userdata) {
        connection_update_charges(userdata);
}

static void connection_handshake_done(void *userdata, Wire wire) {
        VarlinkConnection *c = userdata;

        c->handshake = NULL;
        stream_reopen(&c->stream, wire);
        connection_settle(c);
}

static const TlsHandshakeHandler connection_handshake_handler = {
        .stepped = connection_handshake_stepped,
        .done = connection_handshake_done,
};

/* The account wants to free memory: see Charge. */
static bool connection_given_up(Charge *charge) {
        varlink_close(container_of(charge, VarlinkConnection, connection));
        return true;
}

static bool connection_waiting_given_up(Charge *charge) {
        VarlinkConnection *c = container_of(charge, VarlinkConnection, waiting);

        /* A connection that has not sent a call yet is closed even if it uses little memory. */
        stream_measure(&c->stream);
        connection_update_charges(c);
        if (charge->size < CHARGE_TO_BLAME && c->asked)
                return false;

        stream_discard_on_close(&c->stream);
        varlink_close(c);
        return true;
}

void varlink_call_elapsed(Timeout *t) {
        VarlinkConnection *c = container_of(t, VarlinkConnection, call_timeout);

        log_debug("Query from %s is not complete in time, closing the connection", c->peer.text);
        varlink_close(c);
}

void varlink_stall_elapsed(Timeout *t) {
        VarlinkConnection *c = container_of(t, VarlinkConnection, stall_timeout);

        log_info("%s does not read %s, closing the connection", c->peer.text,
                 c->state == VARLINK_WATCHING ? "events" : "the answers to its queries");
        varlink_close(c);
}

static void connection_user_named(UserNameQuery *query, const char *name) {
        VarlinkConnection *c = container_of(query, VarlinkConnection, user_name);

        peer_set_user_name(&c->peer, name);
        connection_settle(c);
}

int varlink_connection_new(VarlinkServer *s, int fd, const Peer *peer, TlsContext *tls) {
        VarlinkConnection *c = calloc(1, sizeof(VarlinkConnection));
        if (!c) {
                safe_close(fd);
                return -ENOMEM;
        }

        Poller *poller = concentrator_poller(s->concentrator);
        int r = stream_open(&c->stream, poller, WIRE_PLAIN(fd), VARLINK_OUT_MAX, &connection_handler);
        if (r >= 0 && tls)
                r = tls_handshake_new(poller, stream_release(&c->stream).fd, tls, NULL, &connection_handshake_handler, c,
                                      &c->handshake);
        if (r < 0) {
                stream_close(&c->stream);
                free(c);
                return r;
        }

        c->server = s;
        c->in = BUFFER_INIT(VARLINK_CALL_MAX + 1);
        c->peer = *peer;
        charge_open(&c->connection, concentrator_account(s->concentrator), &c->peer.key, CHARGE_CONNECTION, connection_given_up);
        charge_open_like(&c->waiting, &c->connection, CHARGE_QUERY, connection_waiting_given_up);
        DL_APPEND(s->connections[VARLINK_IDLE], c);
        s->n_connections++;
        c->limited = varlink_server_limits(s, &peer->identity);
        s->n_limited += c->limited;
        if (c->peer.uid != PEER_UID_NONE && s->user_names)
                user_names_ask(s->user_names, &c->user_name, c->peer.uid, connection_user_named);
        connection_settle(c);
        return 0;
}

VarlinkConnection *varlink_connection_free(VarlinkConnection *c) {
        free(c->designation);
        free(c);
        return NULL;
}
