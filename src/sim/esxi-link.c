/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "esxi-link-internal.h"

#define LINK_READ_MAX 65536U
#define LINK_DATA_MAX 65536U               /* queued serial data, before encoding */
#define LINK_OUT_MAX (2 * LINK_DATA_MAX + 65536U) /* with all bytes doubled, and all other messages */

static void link_destroy(EsxiLink *link) {
        timeout_stop(&link->timeout);
        telnet_connection_close(&link->telnet);
        free(link);
}

EsxiLink *esxi_link_free(EsxiLink *link) {
        if (!link)
                return NULL;

        link->owner = NULL;
        if (!link->busy)
                link_destroy(link);

        return NULL;
}

void *esxi_link_owner(const EsxiLink *link) {
        return link->owner;
}

/* Handlers are called between these two functions, so that the link is not freed during a handler. */
static bool link_enter(EsxiLink *link) {
        return !TAKE(link->busy, true);
}

/* Returns: whether the link still exists. */
static bool link_leave(EsxiLink *link, bool entered) {
        if (!entered)
                return true;

        link->busy = false;
        if (link->owner)
                return true;

        link_destroy(link);
        return false;
}

static void link_end(EsxiLink *link, int error) {
        if (link->ended || !link->owner)
                return;

        link->ended = true;
        timeout_stop(&link->timeout);
        link->telnet.handshake = tls_handshake_free(link->telnet.handshake);
        Wire wire = stream_release(&link->telnet.stream); /* its queue stays */
        wire_close(&wire);

        bool entered = link_enter(link);
        link->hosts->handler->ended(link, link->error != 0 ? link->error : error);
        link_leave(link, entered);
}

/* If sending fails, the connection has ended. Earlier data may still be readable, so the end is noticed by
 * reading. This also means that the link is never freed while its owner calls a function. */
static void link_break(EsxiLink *link, int error) {
        link->error = error;
        link->shut = true;
        buffer_clear(&link->telnet.stream.out);
        esxi_link_resume(link);
}

/* As stream_flush(), but with --split each send() has only a few bytes. */
static int link_send(EsxiLink *link) {
        Stream *s = &link->telnet.stream;
        uint64_t split = link->hosts->habits->split;

        if (split == 0)
                return stream_flush(s);

        while (s->out.size > 0 && !s->blocked) {
                Buffer out = TAKE(s->out, BUFFER_INIT(s->out.max));
                struct iovec segment = {(void *) buffer_data(&out), (size_t) MIN(split, (uint64_t) out.size)};
                ssize_t k = stream_send(s, &segment, 1);

                s->out = out;
                if (k < 0)
                        return (int) k;
                buffer_consume(&s->out, (size_t) k);
        }

        return s->out.size == 0;
}

void esxi_link_flush(EsxiLink *link) {
        if (link->ended || !link->owner)
                return;

        /* The owner has freed the link. */
        if (link->shut) {
                buffer_clear(&link->telnet.stream.out);
                return;
        }

        int r = link_send(link);
        if (r > 0 && link->parting) {
                link->shut = true;
                r = stream_shutdown(&link->telnet.stream);
                timeout_start(&link->hosts->parting, &link->timeout);
        }

        if (r < 0)
                link_break(link, r);
}

void esxi_link_gathered(Timeout *t) {
        esxi_link_flush(container_of(t, EsxiLink, timeout));
}

void esxi_link_parting_elapsed(Timeout *t) {
        link_end(container_of(t, EsxiLink, timeout), -ETIMEDOUT);
}

/* The answers to one read are sent together; with --coalesce also those to several reads. */
static void flush_answers(EsxiLink *link) {
        if (link->hosts->habits->coalesce && !link->parting && link->telnet.stream.out.size > 0) {
                if (!link->timeout.queue)
                        timeout_start(&link->hosts->gathering, &link->timeout);
        } else
                esxi_link_flush(link);
}

/* A read begins with on_space() and ends with on_received() or on_closed(). In between, handlers may free the link. */
static size_t on_space(TelnetConnection *t) {
        container_of(t, EsxiLink, telnet)->busy = true;
        return LINK_READ_MAX;
}

static void on_received(TelnetConnection *t, _unused_ size_t n) {
        EsxiLink *link = container_of(t, EsxiLink, telnet);

        flush_answers(link);
        link_leave(link, true);
}

static void on_closed(TelnetConnection *t, int verdict) {
        EsxiLink *link = container_of(t, EsxiLink, telnet);

        if (verdict != ESXI_LINK_E_CLOSED)
                link_end(link, verdict == TELNET_E_ENDED ? 0 : verdict == TELNET_E_OVERLONG ? -EMSGSIZE : t->error);
        link_leave(link, true);
}

static void on_writable(TelnetConnection *t) {
        EsxiLink *link = container_of(t, EsxiLink, telnet);

        bool entered = link_enter(link);
        esxi_link_flush(link);
        if (link->owner && !link->ended)
                link->hosts->handler->writable(link);
        link_leave(link, entered);
}

static const TelnetHandler telnet_handler = {
        .line_end = TELNET_CR_LF_KEPT,
        .out_max = LINK_OUT_MAX,
        .answers_max = SIZE_MAX,
        .space = on_space,
        .data = esxi_link_data,
        .command = esxi_link_command,
        .negotiation = esxi_link_negotiate,
        .subnegotiation = esxi_link_subnegotiate,
        .received = on_received,
        .closed = on_closed,
        .writable = on_writable,
};

int esxi_link_new(EsxiHosts *hosts, unsigned host, void *owner, EsxiLink **ret) {
        assert(owner);

        _cleanup_close_ int fd = esxi_hosts_connect(hosts, host);
        if (fd < 0)
                return fd;

        _cleanup_free_ EsxiLink *link = calloc(1, sizeof(EsxiLink));
        if (!link)
                return -ENOMEM;

        link->hosts = hosts;
        link->owner = owner;

        int r = telnet_connection_open(&link->telnet, hosts->poller, WIRE_PLAIN(TAKE_FD(fd)), &telnet_handler);
        if (r < 0)
                return r;

        /* Until the connection is established, the kernel takes no data. So this waits in the queue, and when it can
         * be sent, the connection is established. */
        r = esxi_hosts_speaks_telnets(hosts, host) ? esxi_link_start_tls(link) : esxi_link_offer(link);
        if (r >= 0)
                r = link_send(link);
        if (r < 0) {
                telnet_connection_close(&link->telnet);
                return r;
        }

        *ret = TAKE_PTR(link);
        return 0;
}

void esxi_link_go_live(EsxiLink *link) {
        link->live = true;
}

size_t esxi_link_room(const EsxiLink *link) {
        const Buffer *out = &link->telnet.stream.out;

        if (!link->live || link->parting || link->shut || link->ended || link->telnet.stream.blocked ||
            out->size >= LINK_DATA_MAX)
                return 0;

        return LINK_DATA_MAX - out->size;
}

int esxi_link_write(EsxiLink *link, const uint8_t *data, size_t n) {
        assert(n > 0 && n <= esxi_link_room(link));

        if (!link->uart_set && telnet_option_enabled(&link->telnet.record.session.options, TELNET_US, TELNET_COM_PORT)) {
                link->uart_set = true;
                int r = esxi_link_put_uart(link);
                if (r < 0)
                        return r;
        }

        return telnet_connection_queue(&link->telnet, data, n);
}

bool esxi_link_drained(EsxiLink *link) {
        if (link->ended || link->shut)
                return true;

        esxi_link_flush(link);
        return stream_is_flushed(&link->telnet.stream);
}

void esxi_link_pause(EsxiLink *link) {
        telnet_connection_want(&link->telnet, TELNET_WANTS_NOTHING);
}

void esxi_link_resume(EsxiLink *link) {
        telnet_connection_want(&link->telnet, TELNET_WANTS_DATA);
}

void esxi_link_part(EsxiLink *link) {
        if (link->parting)
                return;

        timeout_stop(&link->timeout);
        link->parting = true;
        esxi_link_resume(link);
        esxi_link_flush(link);
}
