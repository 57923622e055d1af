/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "basic/log.h"
#include "esxi-link.h"
#include "telnet/authentication.h"

#define LINK_READ_MAX 65536U
#define LINK_DATA_MAX 65536U               /* queued serial data, before encoding */
#define LINK_OUT_MAX (2 * LINK_DATA_MAX + 65536U) /* all of it doubled, and all else that we might say */

#define GATHERING_USEC (3 * USEC_PER_MSEC)
#define PARTING_USEC (2 * USEC_PER_SEC)

/* How far it is with option 37 */
typedef enum Settlement {
        SETTLEMENT_OFFERED,
        SETTLEMENT_AGREED,   /* DO 37 came: SEND will follow */
        SETTLEMENT_STARTING, /* START has been said: ACCEPTED will follow */
        SETTLEMENT_DONE,
} Settlement;

struct EsxiLink {
        Stream stream;
        EsxiHosts *hosts;
        void *owner; /* NULL: freed by its owner, to be freed as soon as the call on the stack is over */
        Timeout timeout; /* in hosts->gathering or hosts->parting */

        uint8_t settlement; /* Settlement */
        bool vmware_asked;  /* DO 232 came before authentication was settled */
        bool introduced;
        bool named;
        bool uart_set;
        bool live;
        bool parting;  /* everything has been written */
        bool shut;     /* … and sent, or can no longer be */
        bool busy;     /* a handler may be on the stack */
        bool ended;
        int error; /* that sending failed with */

        TelnetSession telnet; /* last: the end of it is a buffer that is rarely used */
};

static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_AUTHENTICATION, TELNET_BINARY, TELNET_SGA, TELNET_VMWARE,
                                TELNET_COM_PORT, TELNET_OPTION_END},
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_us_offered = 1,
};

static void link_destroy(EsxiLink *link) {
        timeout_stop(&link->timeout);
        stream_close(&link->stream);
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

/* Handlers are called between these two, so that the link outlives them. */
static bool link_enter(EsxiLink *link) {
        return !TAKE(link->busy, true);
}

/* Returns: whether the link is still there. */
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
        Wire wire = stream_release(&link->stream); /* its queue stays */
        wire_close(&wire);

        bool entered = link_enter(link);
        link->hosts->handler->ended(link, link->error != 0 ? link->error : error);
        link_leave(link, entered);
}

/* A connection to which nothing can be sent is at its end. What came before that may still be there to be
 * read, so whoever reads it finds the end; also, the owner need not fear for the link while it calls us. */
static void link_break(EsxiLink *link, int error) {
        link->error = error;
        link->shut = true;
        buffer_clear(&link->stream.out);
        esxi_link_resume(link);
}

/* As stream_flush(), but with --split each send() has a few bytes only. */
static int link_send(EsxiLink *link) {
        Stream *s = &link->stream;
        size_t split = link->hosts->split;

        if (split == 0)
                return stream_flush(s);

        while (s->out.size > 0 && !s->blocked) {
                Buffer out = TAKE(s->out, BUFFER_INIT(s->out.max));
                struct iovec segment = {(void *) buffer_data(&out), MIN(split, out.size)};
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

        /* Nobody listens any more. */
        if (link->shut) {
                buffer_clear(&link->stream.out);
                return;
        }

        int r = link_send(link);
        if (r > 0 && link->parting) {
                link->shut = true;
                r = stream_shutdown(&link->stream);
                timeout_start(&link->hosts->parting, &link->timeout);
        }

        if (r < 0)
                link_break(link, r);
}

static void on_gathered(Timeout *t) {
        esxi_link_flush(container_of(t, EsxiLink, timeout));
}

static void on_parting_elapsed(Timeout *t) {
        link_end(container_of(t, EsxiLink, timeout), -ETIMEDOUT);
}

int esxi_hosts_init(EsxiHosts *hosts, Poller *poller, const SocketAddress *concentrator,
                   const EsxiLinkHandler *handler) {
        *hosts = (EsxiHosts){.poller = poller, .concentrator = *concentrator, .handler = handler};

        int r = timeout_queue_init(&hosts->gathering, poller_event(poller), GATHERING_USEC, on_gathered);
        if (r < 0)
                return r;

        return timeout_queue_init(&hosts->parting, poller_event(poller), PARTING_USEC, on_parting_elapsed);
}

void esxi_hosts_done(EsxiHosts *hosts) {
        timeout_queue_done(&hosts->gathering);
        timeout_queue_done(&hosts->parting);
        hosts->tls = tls_context_unref(hosts->tls);
}

int esxi_hosts_set_security(EsxiHosts *hosts, EsxiSecurity security, bool resume) {
        _cleanup_free_ char *problem = NULL;

        hosts->security = security;
        if (security == ESXI_PLAIN)
                return 0;

        int r = tls_context_new(&(TlsParameters){.role = TLS_CLIENT, .tickets = resume}, &hosts->tls, &problem);
        return r < 0 ? log_error_errno(r, "Cannot speak TLS: %s", problem ?: strerror(-r)) : 0;
}

int esxi_link_put(EsxiLink *link, VMwareCode code, const void *data, size_t n) {
        int r = telnet_session_settle(&link->telnet, &link->stream.out);
        if (r < 0)
                return r;

        log_debug("→ %s", vmware_code_name((uint8_t) code));
        return vmware_put(&link->stream.out, code, data, n);
}

static int put_uuid(EsxiLink *link, VMwareCode code, const uint8_t uuid[static 16]) {
        static const char digits[] = "0123456789abcdef";
        char text[16 * 3];

        /* "50 12 …-50 …" */
        for (size_t i = 0; i < 16; i++) {
                text[3 * i] = digits[uuid[i] >> 4];
                text[3 * i + 1] = digits[uuid[i] & 15];
                text[3 * i + 2] = i == 7 ? '-' : ' ';
        }

        return esxi_link_put(link, code, text, sizeof text - 1);
}

static int put_name(EsxiLink *link, const char *name) {
        int r = esxi_link_put(link, VMWARE_VM_NAME, name, strlen(name));
        if (r < 0 || link->named)
                return r;

        link->named = true;
        uint8_t command = telnet_option_enable(&link->telnet.options, TELNET_US, TELNET_COM_PORT);
        if (command != 0) {
                r = telnet_session_put(&link->telnet, &link->stream.out,
                                       (uint8_t[]){command, TELNET_COM_PORT}, 2);
                if (r < 0)
                        return r;
        }

        link->hosts->handler->named(link);
        return 0;
}

/* A guest sets up its UART before it first writes: 115200 8N1 (RFC 2217, section 3: SET-BAUDRATE, -DATASIZE,
 * -PARITY, -STOPSIZE). */
static int put_uart(EsxiLink *link) {
        static const struct {
                uint8_t data[5];
                size_t n;
        } settings[] = {{{1, 0, 1, 0xc2, 0}, 5}, {{2, 8}, 2}, {{3, 1}, 2}, {{4, 1}, 2}};

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                int r = telnet_put_subnegotiation(&link->stream.out, TELNET_COM_PORT, settings[i].data,
                                                  settings[i].n);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int link_introduce(EsxiLink *link) {
        /* The concentrator may repeat itself; we need not. */
        if (link->introduced)
                return 0;
        link->introduced = true;

        int r = esxi_link_put(link, VMWARE_KNOWN_SUBOPTIONS_1, vmware_known, n_vmware_known);
        if (r < 0)
                return r;

        return link->hosts->handler->introduce(link);
}

static int handle_vmware(EsxiLink *link, const TelnetEvent *event) {
        EsxiIdentity identity = {};
        VMwareSuboption s;

        int r = vmware_parse(event, &s);
        if (r < 0)
                return r;

        log_debug("← %s", vmware_code_name(s.code));

        switch (s.code) {

        case VMWARE_KNOWN_SUBOPTIONS_2:
                return link_introduce(link);

        case VMWARE_GET_VM_VC_UUID:
        case VMWARE_GET_VM_BIOS_UUID:
        case VMWARE_GET_VM_LOCATION_UUID:
                link->hosts->handler->identify(link, &identity);
                return put_uuid(link, s.code - 1, identity.uuid);

        case VMWARE_GET_VM_NAME:
                link->hosts->handler->identify(link, &identity);
                return put_name(link, identity.name);

        case VMWARE_WILL_PROXY:
        case VMWARE_WONT_PROXY:
        case VMWARE_VMOTION_GOAHEAD:
        case VMWARE_VMOTION_NOTNOW:
        case VMWARE_VMOTION_PEER_OK:
                link->hosts->handler->answer(link, &s);
                return 0;

        case VMWARE_UNKNOWN_SUBOPTION_RCVD_2:
                log_warning("The concentrator does not know %s.",
                            s.size > 0 ? vmware_code_name(s.data[0]) : "something");
                return 0;

        default:
                return esxi_link_put(link, VMWARE_UNKNOWN_SUBOPTION_RCVD_1, &s.code, 1);
        }
}

/* ESXi holds its WILL 232 back until it knows whether there will be authentication. */
static int settle_authentication(EsxiLink *link) {
        TelnetEvent held = {.type = TELNET_EVENT_NEGOTIATION, .command = TELNET_DO, .option = TELNET_VMWARE};
        TelnetAnswer answer;

        link->settlement = SETTLEMENT_DONE;
        if (!TAKE(link->vmware_asked, false))
                return 0;

        return telnet_session_negotiate(&link->telnet, &policy, &held, &link->stream.out, &answer);
}

/* From here on in TLS, where telnet begins anew. */
static int link_start_tls(EsxiLink *link) {
        link->settlement = SETTLEMENT_OFFERED;
        link->vmware_asked = false;
        telnet_session_init(&link->telnet, TELNET_CR_LF_KEPT);

        int r = stream_start_tls(&link->stream, link->hosts->tls, NULL);
        return r < 0 ? r : telnet_session_offer(&link->telnet, &policy, &link->stream.out);
}

static int handle_authentication(EsxiLink *link, const TelnetEvent *event) {
        bool wanted = link->hosts->security == ESXI_START_TLS && !link->stream.tls;
        int r;

        switch (authentication_parse(event)) {

        case AUTHENTICATION_SEND:
                if (wanted && link->settlement == SETTLEMENT_AGREED) {
                        link->settlement = SETTLEMENT_STARTING;
                        return authentication_put(&link->stream.out, AUTHENTICATION_START);
                }
                r = authentication_put(&link->stream.out, AUTHENTICATION_DECLINED);
                return r < 0 || link->settlement != SETTLEMENT_AGREED ? r : settle_authentication(link);

        case AUTHENTICATION_ACCEPTED:
                return link->settlement == SETTLEMENT_STARTING ? link_start_tls(link) : 0;

        default:
                return 0;
        }
}

static int handle_negotiation(EsxiLink *link, const TelnetEvent *event) {
        TelnetAnswer answer;

        if (event->option == TELNET_VMWARE && event->command == TELNET_DO &&
            link->settlement != SETTLEMENT_DONE) {
                link->vmware_asked = true;
                return 0;
        }

        int r = telnet_session_negotiate(&link->telnet, &policy, event, &link->stream.out, &answer);
        if (r < 0)
                return r;

        if (event->option != TELNET_AUTHENTICATION || link->settlement != SETTLEMENT_OFFERED)
                return 0;
        if (answer.refused)
                return settle_authentication(link);
        if (answer.changed)
                link->settlement = SETTLEMENT_AGREED;

        return 0;
}

static int handle_subnegotiation(EsxiLink *link, const TelnetEvent *event) {
        switch (event->option) {

        case TELNET_VMWARE:
                return handle_vmware(link, event);

        case TELNET_AUTHENTICATION:
                return handle_authentication(link, event);

        default: /* COM-PORT: it says that it has taken our settings in */
                return 0;
        }
}

static int handle_event(EsxiLink *link, const TelnetEvent *event) {
        switch (event->type) {

        case TELNET_EVENT_DATA:
                link->hosts->handler->input(link, event->data, event->size);
                return 0;

        case TELNET_EVENT_COMMAND:
                if (event->command == TELNET_BRK)
                        link->hosts->handler->brk(link);
                return 0;

        case TELNET_EVENT_NEGOTIATION:
                return handle_negotiation(link, event);

        case TELNET_EVENT_SUBNEGOTIATION:
                return handle_subnegotiation(link, event);

        case TELNET_EVENT_OVERLONG:
                return -EPROTO;

        case TELNET_EVENT_NONE:
                return 0;
        }

        return 0;
}

/* What the handling of one read has queued goes out together, with --coalesce even that of several. */
static void flush_answers(EsxiLink *link) {
        if (link->hosts->coalesce && !link->parting && link->stream.out.size > 0) {
                if (!link->timeout.queue)
                        timeout_start(&link->hosts->gathering, &link->timeout);
        } else
                esxi_link_flush(link);
}

static void on_readable(Stream *s) {
        EsxiLink *link = container_of(s, EsxiLink, stream);
        uint8_t data[LINK_READ_MAX];
        int r = 0;

        ssize_t n = stream_read(s, data, sizeof data);
        if (n == -EAGAIN)
                return;
        if (n <= 0) {
                link_end(link, (int) n);
                return;
        }

        bool entered = link_enter(link);
        for (size_t used = 0; used < (size_t) n && r >= 0 && link->owner && !link->ended;) {
                TelnetEvent event;

                used += telnet_decode(&link->telnet.in, data + used, (size_t) n - used, &event);
                r = handle_event(link, &event);
        }

        if (r < 0)
                link_end(link, r);
        else
                flush_answers(link);

        link_leave(link, entered);
}

static void on_writable(Stream *s) {
        EsxiLink *link = container_of(s, EsxiLink, stream);

        bool entered = link_enter(link);
        esxi_link_flush(link);
        if (link->owner && !link->ended)
                link->hosts->handler->writable(link);
        link_leave(link, entered);
}

static const StreamHandler stream_handler = {
        .readable = on_readable,
        .writable = on_writable,
};

/* The port is left to connect(), which finds one that is free for this pair of addresses. */
static int bind_to_host(int fd, unsigned host) {
        static const int on = 1;
        SocketAddress a = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + host)}};

        (void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        return bind(fd, &a.any, address_length(&a)) < 0 ? -errno : 0;
}

int esxi_link_new(EsxiHosts *hosts, unsigned host, void *owner, EsxiLink **ret) {
        static const int on = 1, off = 0;

        assert(owner);

        _cleanup_close_ int fd =
                socket(hosts->concentrator.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        /* We speak first and answer at once: an acknowledgment goes with that, not in a segment of its own. */
        (void) setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
        if (hosts->count > 1) {
                int r = bind_to_host(fd, host % hosts->count);
                if (r < 0)
                        return r;
        }

        if (connect(fd, &hosts->concentrator.any, address_length(&hosts->concentrator)) < 0 &&
            errno != EINPROGRESS)
                return -errno;

        _cleanup_free_ EsxiLink *link = calloc(1, sizeof(EsxiLink));
        if (!link)
                return -ENOMEM;

        link->hosts = hosts;
        link->owner = owner;
        telnet_session_init(&link->telnet, TELNET_CR_LF_KEPT);

        int r = stream_open(&link->stream, hosts->poller, WIRE_PLAIN(TAKE_FD(fd)), LINK_OUT_MAX, &stream_handler);
        if (r < 0)
                return r;

        /* Until the connection is made the kernel takes nothing, so this waits in the queue, and sending it
         * tells whether the connection has been made. */
        bool in_tls = hosts->security == ESXI_TELNETS || (hosts->security == ESXI_SOME_TELNETS && host % 2 == 1);
        r = in_tls ? link_start_tls(link) : telnet_session_offer(&link->telnet, &policy, &link->stream.out);
        if (r >= 0)
                r = link_send(link);
        if (r < 0) {
                stream_close(&link->stream);
                return r;
        }

        *ret = TAKE_PTR(link);
        return 0;
}

void esxi_link_go_live(EsxiLink *link) {
        link->live = true;
}

size_t esxi_link_room(const EsxiLink *link) {
        const Buffer *out = &link->stream.out;

        if (!link->live || link->parting || link->shut || link->ended || link->stream.blocked ||
            out->size >= LINK_DATA_MAX)
                return 0;

        return LINK_DATA_MAX - out->size;
}

int esxi_link_write(EsxiLink *link, const uint8_t *data, size_t n) {
        assert(n > 0 && n <= esxi_link_room(link));

        if (!link->uart_set && telnet_option_enabled(&link->telnet.options, TELNET_US, TELNET_COM_PORT)) {
                link->uart_set = true;
                int r = telnet_session_settle(&link->telnet, &link->stream.out);
                if (r >= 0)
                        r = put_uart(link);
                if (r < 0)
                        return r;
        }

        return telnet_put_data(&link->telnet.out, &link->stream.out, data, n);
}

bool esxi_link_drained(EsxiLink *link) {
        if (link->ended || link->shut)
                return true;

        /* Nothing is to be owed on this connection when the next byte goes over another one. */
        if (telnet_session_settle(&link->telnet, &link->stream.out) < 0)
                return false;

        esxi_link_flush(link);
        return stream_is_flushed(&link->stream);
}

void esxi_link_pause(EsxiLink *link) {
        if (link->stream.reading)
                stream_pause(&link->stream);
}

void esxi_link_resume(EsxiLink *link) {
        if (!link->stream.reading && !link->ended)
                stream_resume(&link->stream);
}

void esxi_link_part(EsxiLink *link) {
        if (link->parting)
                return;

        timeout_stop(&link->timeout);
        link->parting = true;
        (void) telnet_session_settle(&link->telnet, &link->stream.out);
        esxi_link_resume(link);
        esxi_link_flush(link);
}
