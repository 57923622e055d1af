/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "connection/telnet-connection.h"
#include "remote-guest.h"
#include "transport/socket.h"

#define RECONNECT_USEC USEC_PER_SEC

/* The backlog up to its mark, one read of each of two connections with each byte doubled, and answers to options */
#define OUT_MAX (REMOTE_GUEST_BACKLOG_HIGH + 2 * 2 * 65536U + 65536U)

struct RemoteGuest {
        Poller *poller;
        const SocketAddress *address;
        const GuestHandler *handler;
        void *userdata;

        TelnetConnection telnet; /* its descriptor is -1 between two connections */
        uint8_t *data;           /* where the serial data of a read goes; NULL: nothing is read now */
        size_t room;             /* bytes there */
        sd_event_source *reconnect;
        bool joined;   /* the connection has been made */
        bool reported; /* it has been logged that there is no machine: only once until one has been connected */
};

static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_OPTION_END},
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_us_offered = 1,
        .n_him_offered = 1,
};

static void connect_to_machine(RemoteGuest *g);

static int on_reconnect(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        RemoteGuest *g = userdata;

        g->reconnect = sd_event_source_disable_unref(g->reconnect);
        connect_to_machine(g);
        return 0;
}

/* @error: 0 if the machine has closed the connection */
static void report_absence(RemoteGuest *g, int error) {
        char address[ADDRESS_TEXT_MAX];

        if (TAKE(g->reported, true))
                return;

        log_warning("%s %s: %s. Trying again every second.",
                    g->joined ? "Lost the machine at" : "No machine yet at",
                    address_format(g->address, address),
                    error < 0 ? strerror(-error) : "it has closed the connection");
}

static void end_connection(RemoteGuest *g, int error) {
        report_absence(g, error);
        g->joined = false;
        telnet_connection_close(&g->telnet);

        int r = sd_event_add_time_relative(poller_event(g->poller), &g->reconnect, CLOCK_MONOTONIC, RECONNECT_USEC, 0,
                                           on_reconnect, g);
        if (r < 0)
                log_error_errno(r, "Cannot set a timer to connect to the machine again: %m");

        /* The backlog was dropped with the connection, so there is room again. */
        g->handler->writable(g->userdata);
}

/* Sends what is queued. When this succeeds for the first time, the connection is established. */
static void flush(RemoteGuest *g) {
        char address[ADDRESS_TEXT_MAX];

        int r = stream_flush(&g->telnet.stream);
        if (r < 0) {
                end_connection(g, r);
                return;
        }

        if (r == 0 || g->joined || g->telnet.stream.broken)
                return;

        g->joined = true;
        g->reported = false;
        log_info("Joined to the serial port at %s", address_format(g->address, address));
}

/* The end of a connection is noticed here, so that it is made again even while nobody takes the output. */
static int on_begins(TelnetConnection *t, _unused_ bool like_tls) {
        RemoteGuest *g = container_of(t, RemoteGuest, telnet);

        t->record.peeks = true; /* next time as well */
        telnet_connection_want(t, TELNET_WANTS_NOTHING);
        g->handler->readable(g->userdata);
        return 0;
}

static size_t on_space(TelnetConnection *t) {
        return container_of(t, RemoteGuest, telnet)->room;
}

static int on_data(TelnetConnection *t, uint8_t *data, size_t n) {
        RemoteGuest *g = container_of(t, RemoteGuest, telnet);

        g->data = mempcpy(g->data, data, n);
        g->room -= n;
        return 0;
}

static void on_received(TelnetConnection *t, size_t n) {
        if (n > 0)
                flush(container_of(t, RemoteGuest, telnet));
}

static void on_closed(TelnetConnection *t, int verdict) {
        end_connection(container_of(t, RemoteGuest, telnet), verdict == TELNET_E_ENDED ? 0 : t->error);
}

static void on_writable(TelnetConnection *t) {
        RemoteGuest *g = container_of(t, RemoteGuest, telnet);

        flush(g);
        g->handler->writable(g->userdata);
}

static const TelnetHandler telnet_handler = {
        .line_end = TELNET_CR_LF_KEPT,
        .out_max = OUT_MAX,
        .answers_max = OUT_MAX,
        .space = on_space,
        .begins = on_begins,
        .data = on_data,
        .received = on_received,
        .closed = on_closed,
        .writable = on_writable,
};

static int open_connection(RemoteGuest *g) {
        int fd = socket_connect(g->address);
        if (fd < 0)
                return fd;

        int r = telnet_connection_open(&g->telnet, g->poller, WIRE_PLAIN(fd), &telnet_handler);
        if (r < 0)
                return r;

        g->telnet.record.peeks = g->telnet.record.begun = true;
        telnet_connection_begin(&g->telnet, &policy);
        return telnet_connection_offer(&g->telnet);
}

static void connect_to_machine(RemoteGuest *g) {
        int r = open_connection(g);

        /* An address of this machine may already have refused, and sending would not show the reason. */
        if (r >= 0)
                r = socket_take_error(g->telnet.stream.watch.fd);

        if (r < 0)
                end_connection(g, r);
        else
                flush(g);
}

int remote_guest_new(Poller *poller, const SocketAddress *address, const GuestHandler *handler, void *userdata,
                     RemoteGuest **ret) {
        RemoteGuest *g = malloc(sizeof(RemoteGuest));
        if (!g)
                return -ENOMEM;

        *g = (RemoteGuest){
                .poller = poller,
                .address = address,
                .handler = handler,
                .userdata = userdata,
                .telnet.stream.watch.fd = -1,
        };

        connect_to_machine(g);
        *ret = g;
        return 0;
}

RemoteGuest *remote_guest_free(RemoteGuest *g) {
        if (!g)
                return NULL;

        sd_event_source_disable_unref(g->reconnect);
        telnet_connection_close(&g->telnet);
        free(g);
        return NULL;
}

size_t remote_guest_read(RemoteGuest *g, uint8_t *data, size_t n) {
        if (g->telnet.stream.watch.fd < 0)
                return 0;

        g->data = data;
        g->room = n;
        g->telnet.record.peeks = false;
        telnet_connection_read(&g->telnet);
        g->telnet.record.peeks = true;
        g->room = 0;

        size_t size = (size_t) (g->data - data);
        if (size == 0)
                telnet_connection_want(&g->telnet, TELNET_WANTS_DATA);
        return size;
}

/* @r: the result of queuing something for the machine */
static void queued(RemoteGuest *g, int r) {
        if (r < 0)
                end_connection(g, r);
        else
                flush(g);
}

void remote_guest_write(RemoteGuest *g, const uint8_t *data, size_t n) {
        if (g->joined)
                queued(g, telnet_connection_queue(&g->telnet, data, n));
}

void remote_guest_send_break(RemoteGuest *g) {
        if (g->joined)
                queued(g, telnet_connection_command(&g->telnet, (uint8_t[]){TELNET_BRK}, 1));
}

size_t remote_guest_backlog(const RemoteGuest *g) {
        return g->telnet.stream.out.size;
}
