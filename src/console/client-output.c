/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sends output from the ring to a client, from its cursor on. The scrollback is filtered (Replay). A client that is too slow
 * skips output or is disconnected. */

#include <inttypes.h>

#include "client.h"
#include "message.h"

/* The number of bytes of a replay that are filtered and sent at a time */
#define REPLAY_STEP (16384U + REPLAY_INPUT_MIN)

/* Returns: where a replay begins. If older output has been dropped, that is at the first whole line or character. */
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
        uint64_t live = c->record.cursor.position, position = MIN(ring_replay(ring), live);

        c->record.replay = (Replay){.end = live};
        ring_move(ring, &c->record.cursor, MAX(position, ring->begin));
}

static bool client_is_replaying(const Client *c) {
        return c->record.cursor.position < c->record.replay.end;
}

/* Returns: whether the client may skip output that the ring has dropped. A raw client may not, because it cannot be told. */
static bool client_may_skip(const Client *c) {
        return telnet_detection_is_under_way(&c->telnet) ||
               (c->telnet.record.mode == TELNET_MODE_TELNET &&
                concentrator_settings(c->concentrator)->slow_client != SLOW_CLIENT_DROP);
}

static void client_skip(Client *c) {
        Ring *ring = &c->console->ring;
        uint64_t position = ring_replay(ring), n = position - c->record.cursor.position;

        c->record.replay = (Replay){.end = c->record.replay.end};
        ring_move(ring, &c->record.cursor, position);
        if (telnet_detection_is_under_way(&c->telnet) && !c->record.got_output) /* it has been sent nothing, so it misses nothing */
                return;

        if (c->record.n_skipped == 0)
                console_log(c->console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_TOO_SLOW, c->record.peer.text,
                            "client %s reads too slowly and misses output", c->record.peer.text);

        c->record.n_skipped += n;
        concentrator_metrics(c->concentrator)->client_bytes_skipped += n;
        client_notice(c, "%" PRIu64 " bytes skipped", n);
}

bool client_lags(const Client *c) {
        const Ring *ring = &c->console->ring;

        return !ring_has_lost(ring, &c->record.cursor) && c->record.cursor.position < ring_scrollback(ring);
}

bool client_may_delay_vm(const Client *c) {
        return concentrator_settings(c->concentrator)->slow_client == SLOW_CLIENT_WAIT && c->right >= rights_act_needs(ACT_WRITE);
}

/* The account wants the memory back. If the VM waits for the client, it is disconnected, because it must not skip output. */
void client_lose_lag(Client *c) {
        ring_release(&c->console->ring, &c->record.cursor);
        if (client_may_delay_vm(c))
                client_give_up(c);
        else
                console_changed(c->console);
}

static ssize_t client_send_some(Client *c) {
        struct iovec iov[64];
        size_t n = ring_gather(&c->console->ring, c->record.cursor.position, iov, ELEMENTSOF(iov));

        return telnet_connection_send(&c->telnet, iov, n);
}

/* Sends the next piece of the replay, without terminal queries. Returns: the number of bytes by which the cursor advances, or
 * a negative errno. *ret_left_out: how many of these were not sent. */
static ssize_t client_send_replay(Client *c, size_t *ret_left_out) {
        uint8_t in[REPLAY_STEP], out[REPLAY_STEP];
        uint64_t left = c->record.replay.end - c->record.cursor.position;
        size_t n = MIN(left, sizeof in), used;
        Replay before = c->record.replay;

        ring_read(&c->console->ring, c->record.cursor.position, in, n);
        size_t size = replay_filter(&c->record.replay, in, n, n < left, out, sizeof out, &used);
        ssize_t sent = size > 0 ? telnet_connection_send_encoded(&c->telnet, &(struct iovec){out, size}, 1) : 0;
        if (sent < 0)
                return sent;

        /* Filter again, to find out how many bytes of the ring have been sent. */
        if ((size_t) sent < size) {
                c->record.replay = before;
                (void) replay_filter(&c->record.replay, in, n, n < left, out, (size_t) sent, &used);
        }

        *ret_left_out = used - (size_t) sent;
        return (ssize_t) used;
}

/* Tells the client whether its VM is connected. */
static void client_tell_connected(Client *c) {
        c->record.shown_connected = c->console->connected;
        client_notice(c, "VM %s", c->record.shown_connected ? "connected" : "disconnected");
}

/* Tells the client whether two VMs share this console. */
static void client_tell_clash(Client *c) {
        char text[CONSOLE_CLASH_TEXT_MAX];
        const char *clash = console_describe_clash(c->console, text);

        c->record.shown_clash = c->console->clash;
        client_notice(c, "%s", clash ?: "this console is no longer shared with another VM");
}

/* Tells the client what has changed at its console. Returns: false if nothing has. */
static bool client_tell_news(Client *c) {
        if (c->telnet.record.mode != TELNET_MODE_TELNET)
                return false;

        if (c->record.shown_connected != c->console->connected)
                client_tell_connected(c);
        else if (c->record.shown_clash != c->console->clash)
                client_tell_clash(c);
        else
                return false;

        return true;
}

/* Sends the next piece of output, filtered if it is part of a replay. Returns: false if the client has been closed. */
static bool client_send_output(Client *c) {
        bool replaying = client_is_replaying(c);
        size_t left_out = 0;
        ssize_t n = replaying ? client_send_replay(c, &left_out) : client_send_some(c);
        if (n < 0)
                return client_judge(c, (int) n);

        if (n > 0)
                client_break_vm_silence(c);
        c->record.got_output = true;
        c->record.n_sent += (uint64_t) n - left_out;
        concentrator_metrics(c->concentrator)->client_bytes_sent += (uint64_t) n - left_out;
        ring_move(&c->console->ring, &c->record.cursor, c->record.cursor.position + (uint64_t) n);

        /* Let other clients have a turn: a replay full of queries sends nothing, so a full socket would not interrupt it. */
        if (replaying && client_is_replaying(c) && !c->telnet.stream.blocked)
                stream_yield(&c->telnet.stream);
        return true;
}

bool client_send_next(Client *c) {
        Ring *ring = &c->console->ring;

        if (client_is_shut_out(c))
                ring_move(ring, &c->record.cursor, ring->end);

        bool lost = ring_has_lost(ring, &c->record.cursor);

        if (c->record.half_closed && c->telnet.stream.broken) { /* reading does not notice this, because nothing is read any more */
                client_close(c, TELNET_E_ENDED);
                return false;
        }

        if (lost && !client_may_skip(c)) {
                client_give_up(c);
                return false;
        }

        if (c->telnet.stream.blocked)
                return false;

        int r = telnet_connection_flush(&c->telnet);
        if (r <= 0)
                return r < 0 && client_judge(c, r);

        if (lost) {
                client_skip(c);
                return true;
        }

        if (telnet_detection_is_under_way(&c->telnet))
                return false;

        return c->record.cursor.position == ring->end ? client_tell_news(c) : client_send_output(c);
}

