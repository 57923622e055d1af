/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <sys/socket.h>
#include <utlist.h>

#include "basic/log.h"
#include "basic/timeout-queue.h"
#include "console/message.h"
#include "log-sender.h"

#define SOCKET_DEFAULT "/run/vspc/logger.socket"

/* Output within this time is sent together: vspc-logger wakes up at most two hundred times a second, not for each
 * line of thousands of VMs. */
#define GATHER_USEC (5 * USEC_PER_MSEC)

/* Messages that are sent in one iteration of the loop */
#define MESSAGES_MAX 8U

/* Messages that can be unread when vspc-logger has ended: more than fit into the socket's buffer */
#define LAST_MESSAGES_MAX 512U

struct LogSender {
        Helper helper;
        LogKind kind;
        LogBacklog backlog;
        sd_event_source *timer;
        bool timer_set, hurries; /* the timer elapses at once */
        bool blocked;       /* the socket's buffer is full */
        bool greeted;       /* vspc-logger has sent HELLO on this connection */
        LogMessage message; /* to be sent, if not empty */
        LogMessage received;

        bool unreachable; /* vspc-logger cannot be reached; this has been logged */
        int error;        /* why, or the last error that vspc-logger reported, such as a full disk */
        LogSenderHandler changed;
        void *userdata;
};

static void sender_set_error(LogSender *s, int error, bool unreachable) {
        if (s->error == error && s->unreachable == unreachable)
                return;

        s->error = error;
        s->unreachable = unreachable;
        s->changed(s->userdata);
}

static void sender_fail(LogSender *s, int error) {
        if (!s->unreachable)
                log_full(LOG_ERR, error, &(LogFields){.message_id = VSPC_MESSAGE_LOGGER_UNREACHABLE},
                         "Cannot log the output of consoles until vspc-logger can be reached at %s: %m (\"systemctl restart "
                         "vspc-logger.socket\" makes systemd listen there)",
                         s->helper.address.sun_path);

        helper_back_off(&s->helper);
        sender_set_error(s, error, true);
}

static void sender_lose(LogSender *s, int error) {
        if (!s->greeted) /* vspc-logger never answered */
                sender_fail(s, error < 0 ? error : -ECONNRESET);
        else if (error < 0)
                log_warning_errno(error, "The connection to vspc-logger has failed, reconnecting: %m");

        helper_close(&s->helper);
        s->greeted = s->blocked = false;
        s->message.size = 0;
        log_backlog_restart(&s->backlog);
        log_sender_wake(s);
}

/* vspc-logger works. */
static void sender_greeted(LogSender *s) {
        s->greeted = true;
        if (s->unreachable)
                log_notice("vspc-logger can be reached again, logging the output of consoles");
        sender_set_error(s, 0, false);
}

static int sender_take(LogSender *s, const LogRecord *record, const uint8_t *data) {
        LogPlace place;

        if ((record->type == LOG_HELLO) == s->greeted)
                return -EPROTO;

        switch (record->type) {

        case LOG_HELLO:
                if (record->value != LOG_CHANNEL_VERSION)
                        return -EPROTONOSUPPORT;
                sender_greeted(s);
                return 0;

        case LOG_ACK:
        case LOG_CLOSED:
                memcpy(&place, data, sizeof place);
                return log_backlog_acknowledged(&s->backlog, record, &place);

        case LOG_ERROR:
                sender_set_error(s, -(int) record->value, false);
                return 0;
        }

        return -EPROTO;
}

/* Handles one message. Returns: 1; -EAGAIN if there is no message; or another negative errno. */
static int sender_read(LogSender *s) {
        const uint8_t *data;
        LogRecord record;
        size_t offset = 0, n;

        int r = log_message_receive(&s->received, s->helper.fd, MSG_DONTWAIT);
        if (r <= 0)
                return r == 0 ? -ECONNRESET : r;

        while ((r = log_message_next(&s->received, &offset, &record, &data, &n)) > 0) {
                r = sender_take(s, &record, data);
                if (r < 0)
                        return r;
        }

        if (s->backlog.waiting)
                log_sender_wake(s);
        return r < 0 ? r : 1;
}

/* Handles what vspc-logger sent before it ended. If it has left our messages unread, the kernel reports an error first, and then
 * what it had sent. Returns: the values of sender_read(); 1 if there may be more. */
static int sender_read_last(LogSender *s) {
        int r = 1;

        for (unsigned i = 0; i < LAST_MESSAGES_MAX && r > 0; i++)
                r = sender_read(s);

        return r;
}

static int sender_connect(LogSender *s) {
        const LogRecord hello = {.type = LOG_HELLO, .value = LOG_CHANNEL_VERSION, .count = s->kind};
        bool connected = s->helper.fd >= 0;

        int r = helper_connect(&s->helper);
        if (r < 0)
                sender_fail(s, r);
        if (r > 0 && !connected)
                (void) log_message_add(&s->message, &hello, 0);
        return r;
}

static void sender_fill(LogSender *s) {
        while (s->backlog.waiting) {
                LogReader *r = s->backlog.waiting;

                DL_DELETE(s->backlog.waiting, r);
                r->waiting = false;
                if (log_reader_fill(r, &s->message))
                        continue;

                /* The message is full. The other readers come first in the next one. */
                DL_APPEND(s->backlog.waiting, r);
                r->waiting = true;
                return;
        }
}

/* Returns: 1 if everything has been sent; 0 if the socket is full, or after MESSAGES_MAX; or a negative errno. */
static int sender_send(LogSender *s) {
        for (unsigned i = 0; i < MESSAGES_MAX; i++) {
                if (s->message.size == 0)
                        sender_fill(s);
                if (s->message.size == 0)
                        return 1;

                int r = log_message_send(&s->message, s->helper.fd, MSG_DONTWAIT);
                s->blocked = r == -EAGAIN;
                if (r < 0)
                        return r == -EAGAIN ? 0 : r;
        }

        return 0;
}

/* Sends as much as the socket takes now. */
static void sender_advance(LogSender *s) {
        if (!s->backlog.waiting && s->message.size == 0)
                return;
        if (sender_connect(s) <= 0)
                return;

        int r = sender_send(s);
        if (r < 0) {
                r = sender_read_last(s); /* read acknowledgements before closing */
                sender_lose(s, r == -EAGAIN || r == -ECONNRESET ? 0 : r);
                return;
        }

        if (r == 0 && !s->blocked)
                log_sender_wake_now(s);
        (void) sd_event_source_set_io_events(s->helper.source, EPOLLIN | (s->blocked ? EPOLLOUT : 0));
}

static int on_io(_unused_ sd_event_source *source, _unused_ int fd, uint32_t events, void *userdata) {
        LogSender *s = userdata;
        int r = 0;

        if (events & ~(uint32_t) EPOLLOUT)
                r = sender_read(s);
        if (r == -ECONNRESET || r == -EPIPE)
                r = sender_read_last(s);
        if (r < 0 && r != -EAGAIN)
                sender_lose(s, r == -ECONNRESET ? 0 : r);
        else if (events & EPOLLOUT)
                sender_advance(s);
        return 0;
}

static int on_timer(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        LogSender *s = userdata;

        s->timer_set = false;
        if (!s->blocked)
                sender_advance(s);
        return 0;
}

static int on_retry(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        sender_advance(userdata);
        return 0;
}

/* @when: 0: in the next iteration of the loop */
static void sender_set_timer(LogSender *s, usec_t when) {
        if (s->blocked || (s->timer_set && (s->hurries || when > 0)))
                return;

        s->timer_set = true;
        s->hurries = when == 0;
        (void) sd_event_source_set_time(s->timer, when);
        (void) sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

void log_sender_wake(LogSender *s) {
        sender_set_timer(s, event_now(s->helper.loop) + GATHER_USEC);
}

void log_sender_wake_now(LogSender *s) {
        sender_set_timer(s, 0);
}

bool log_sender_drain(LogSender *s, usec_t deadline) {
        while (s->backlog.streams) {
                sender_advance(s);
                if (s->unreachable) /* this has been logged */
                        return true;

                usec_t now = now_monotonic();
                if (now >= deadline)
                        return false;

                /* Without a connection (too early to reconnect), poll() just waits. */
                bool more = s->helper.fd >= 0 && !s->blocked && s->backlog.waiting;
                struct pollfd wait = {.fd = s->helper.fd, .events = (short) (POLLIN | (s->blocked ? POLLOUT : 0))};
                (void) poll(&wait, 1, more ? 0 : (int) ((deadline - now) / USEC_PER_MSEC) + 1);
                int r = wait.revents & ~POLLOUT ? sender_read_last(s) : -EAGAIN;
                if (r != -EAGAIN)
                        sender_lose(s, r == -ECONNRESET ? 0 : r);
        }

        return true;
}

int log_sender_new(sd_event *loop, LogKind kind, void (*released)(LogReader *r), LogSenderHandler changed, void *userdata,
                   LogSender **ret) {
        _cleanup_(log_sender_freep) LogSender *s = calloc(1, sizeof(LogSender));
        if (!s)
                return -ENOMEM;

        s->kind = kind;
        s->backlog.released = released;
        s->changed = changed;
        s->userdata = userdata;
        s->helper.fd = -1;
        int r = helper_init(&s->helper, loop, "VSPC_LOGGER_SOCKET", SOCKET_DEFAULT, on_io, on_retry, s);
        if (r < 0)
                return r;

        r = sd_event_add_time(loop, &s->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, s);
        if (r < 0)
                return r;

        (void) sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        *ret = TAKE_PTR(s);
        return 0;
}

LogSender *log_sender_free(LogSender *s) {
        sd_event_source_disable_unref(s->timer);
        helper_done(&s->helper);
        free(s);
        return NULL;
}

LogBacklog *log_sender_backlog(LogSender *s) {
        return &s->backlog;
}

int log_sender_error(const LogSender *s) {
        return s->error;
}

bool log_sender_is_unreachable(const LogSender *s) {
        return s->unreachable;
}
