/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a client gets of its VM's output: from the ring to its connection, as far as that takes it, and what becomes of
 * one that does not read as fast as its VM writes. */

#include <inttypes.h>

#include "client.h"
#include "connection/telnet-connection.h"
#include "message.h"

/* Bytes of a replay that are filtered and sent at a time */
#define REPLAY_STEP (16384U + REPLAY_INPUT_MIN)

/* Where a replay begins: at the scrollback's first line or character, if older output was cut. */
static uint64_t ring_replay(const Ring *r) {
        struct iovec iov[REPLAY_BEGIN_MAX / RING_BLOCK_SIZE + 1];
        uint64_t position = ring_scrollback(r);

        if (position == 0) /* nothing was cut */
                return 0;

        size_t n = ring_gather(r, position, iov, ELEMENTSOF(iov));
        return position + replay_begin(iov, n, r->end - position);
}

void client_go_to_scrollback(Client *c) {
        Ring *ring = &c->console->ring;
        uint64_t live = c->cursor.position, position = MIN(ring_replay(ring), live);

        c->replay = (Replay){.end = live};
        ring_move(ring, &c->cursor, MAX(position, ring->begin));
}

/* Whether the encoding of the VM's output for this client is not known yet: raw, NVT or BINARY. */
static bool client_is_undecided(const Client *c) {
        return c->mode == CLIENT_UNDECIDED || c->awaits_binary;
}

static bool client_is_replaying(const Client *c) {
        return c->cursor.position < c->replay.end;
}

/* The ring has gone on without it. A raw client must not be fed a gap. */
static bool client_may_skip(const Client *c) {
        return client_is_undecided(c) ||
               (c->mode == CLIENT_TELNET && concentrator_settings(c->concentrator)->slow_client != SLOW_CLIENT_DROP);
}

void client_give_up(Client *c) {
        console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_TOO_SLOW, c->peer.text,
                    "client %s reads too slowly and is disconnected", c->peer.text);
        client_close(c, CLIENT_E_DEAF);
}

static void client_skip(Client *c) {
        Ring *ring = &c->console->ring;
        uint64_t position = ring_replay(ring), n = position - c->cursor.position;

        c->replay = (Replay){.end = c->replay.end};
        ring_move(ring, &c->cursor, position);
        if (client_is_undecided(c) && !c->got_output) /* nothing has been sent yet, so nothing is missing */
                return;

        if (c->n_skipped == 0)
                console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_TOO_SLOW, c->peer.text,
                            "client %s reads too slowly and misses output", c->peer.text);

        c->n_skipped += n;
        concentrator_metrics(c->concentrator)->client_bytes_skipped += n;
        client_notice(c, "%" PRIu64 " bytes skipped", n);
}

bool client_lags(const Client *c) {
        const Ring *ring = &c->console->ring;

        return !ring_has_lost(ring, &c->cursor) && c->cursor.position < ring_scrollback(ring);
}

/* With SlowClient=wait a client loses no output: it is disconnected, as it is where it may not skip any. */
void client_lose_lag(Client *c) {
        ring_release(&c->console->ring, &c->cursor);
        if (concentrator_settings(c->concentrator)->slow_client == SLOW_CLIENT_WAIT)
                client_give_up(c);
        else
                console_changed(c->console);
}

static ssize_t client_send_some(Client *c) {
        struct iovec iov[64];
        size_t n = ring_gather(&c->console->ring, c->cursor.position, iov, ELEMENTSOF(iov));

        return telnet_connection_send(&c->telnet, iov, n, concentrator_write_buffer(c->concentrator));
}

/* Sends the next piece of the replay, without the queries that a terminal would answer. Returns: by how many bytes the
 * cursor moves in the ring; *ret_left_out: how many of them were not sent. */
static ssize_t client_send_replay(Client *c, size_t *ret_left_out) {
        uint8_t in[REPLAY_STEP], out[REPLAY_STEP];
        uint64_t left = c->replay.end - c->cursor.position;
        size_t n = MIN(left, sizeof in), used;
        Replay before = c->replay;

        ring_read(&c->console->ring, c->cursor.position, in, n);
        size_t size = replay_filter(&c->replay, in, n, n < left, out, sizeof out, &used);
        ssize_t sent = size > 0 ? telnet_connection_send_encoded(&c->telnet, &(struct iovec){out, size}, 1,
                                                         concentrator_write_buffer(c->concentrator)) : 0;
        if (sent < 0)
                return sent;

        /* Once more, to learn how much of the ring the bytes sent stand for. */
        if ((size_t) sent < size) {
                c->replay = before;
                (void) replay_filter(&c->replay, in, n, n < left, out, (size_t) sent, &used);
        }

        *ret_left_out = used - (size_t) sent;
        return (ssize_t) used;
}

/* Having caught up, it is told whether its VM is still there. */
static void client_tell_connected(Client *c) {
        c->shown_connected = c->console->connected;
        client_notice(c, "VM %s", c->shown_connected ? "connected" : "disconnected");
}

/* Tells it whether two VMs share this console. */
static void client_tell_clash(Client *c) {
        char text[CONSOLE_CLASH_TEXT_MAX];
        const char *clash = console_describe_clash(c->console, text);

        c->shown_clash = c->console->clash;
        client_notice(c, "%s", clash ?: "this console is no longer shared with another VM");
}

static bool client_needs_telling(const Client *c) {
        return c->mode == CLIENT_TELNET &&
               (c->shown_connected != c->console->connected || c->shown_clash != c->console->clash);
}

/* Returns: false if there is nothing more that could be done now. */
static bool client_send_next(Client *c) {
        Ring *ring = &c->console->ring;

        if (client_is_shut_out(c))
                ring_move(ring, &c->cursor, ring->end);

        bool lost = ring_has_lost(ring, &c->cursor);

        if (c->half_closed && c->telnet.stream.broken) { /* it is not read any more, which would find that out */
                client_close(c, CLIENT_E_ENDED);
                return false;
        }

        if (lost && !client_may_skip(c)) {
                client_give_up(c);
                return false;
        }

        if (c->telnet.stream.blocked)
                return false;

        int r = telnet_connection_flush(&c->telnet);
        if (r < 0)
                client_close(c, r);
        if (r <= 0)
                return false;

        if (lost) {
                client_skip(c);
                return true;
        }

        if (client_is_undecided(c))
                return false;

        if (c->cursor.position == ring->end) {
                if (!client_needs_telling(c))
                        return false;

                if (c->shown_connected != c->console->connected)
                        client_tell_connected(c);
                else
                        client_tell_clash(c);
                return true;
        }

        bool replaying = client_is_replaying(c);
        size_t left_out = 0;
        ssize_t n = replaying ? client_send_replay(c, &left_out) : client_send_some(c);
        if (n < 0) {
                client_close(c, (int) n);
                return false;
        }

        if (n > 0)
                client_break_vm_silence(c);
        c->got_output = true;
        c->n_sent += (uint64_t) n - left_out;
        concentrator_metrics(c->concentrator)->client_bytes_sent += (uint64_t) n - left_out;
        ring_move(ring, &c->cursor, c->cursor.position + (uint64_t) n);

        /* One turn each: a replay that consists of queries sends nothing, so the connection never stops it. */
        if (replaying && client_is_replaying(c) && !c->telnet.stream.blocked)
                stream_yield(&c->telnet.stream);
        return true;
}

void client_flush(Client *c) {
        while (c->verdict == 0 && client_send_next(c))
                ;

        if (c->verdict != 0)
                return;

        client_update_reading(c);
        client_update_charges(c);
}

void client_writable(Stream *s) {
        console_changed(container_of(s, Client, telnet.stream)->console);
}
