/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>

#include "console-vmotion.h"
#include "identification.h"
#include "message.h"
#include "suboptions.h"
#include "telnet/authentication.h"

/* The maximum bytes in a read from a link that is not live */
#define LINK_HANDSHAKE_READ_MAX 4096U

static const TelnetHandler link_handler;

/*
 * Options
 */

static const int16_t for_us[] = {TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END};
static const int16_t for_vm[] = {TELNET_BINARY,   TELNET_SGA,     TELNET_VMWARE,
                                 TELNET_COM_PORT, TELNET_OPTION_END};
static const int16_t for_vm_that_may[] = {TELNET_BINARY,   TELNET_SGA,            TELNET_VMWARE,
                                          TELNET_COM_PORT, TELNET_AUTHENTICATION, TELNET_OPTION_END};

/* If TLS is required, option 232 is refused in plain text, so that nothing is accepted there. */
static const int16_t for_vm_that_must[] = {TELNET_BINARY, TELNET_SGA, TELNET_AUTHENTICATION, TELNET_OPTION_END};

static const TelnetPolicy link_policies[_LINK_SECURITY_MAX] = {
        [LINK_PLAIN] = {.us = for_us, .n_us_offered = 3, .him = for_vm, .n_him_offered = 3},
        [LINK_MAY_START_TLS] = {.us = for_us, .n_us_offered = 3, .him = for_vm_that_may, .n_him_offered = 3},
        [LINK_MUST_START_TLS] = {.us = for_us, .n_us_offered = 3, .him = for_vm_that_must, .n_him_offered = 3},
        [LINK_TLS] = {.us = for_us, .n_us_offered = 3, .him = for_vm, .n_him_offered = 3},
};

static const TelnetPolicy *link_policy(const Link *l) {
        assert(l->record.security != LINK_UNDECIDED);

        return &link_policies[l->record.security];
}

/*
 * Logging
 */

/* All links without a console have one rate limit. */
static void link_log_unidentified(const Link *l, int level, const char *message_id, const char *message) {
        const LogField peer = {"VSPC_PEER=", l->record.peer};
        const LogFields fields = {.message_id = message_id, .field = &peer, .n_fields = 1};
        unsigned n_left_out = 0;

        if (level < LOG_DEBUG &&
            !log_burst_pass(concentrator_unidentified(l->concentrator), concentrator_now(l->concentrator), &n_left_out))
                return;
        if (n_left_out > 0)
                log_notice("%u log lines about unidentified connections suppressed", n_left_out);

        log_full(level, 0, &fields, "Connection from %s: %s", l->record.peer, message);
}

void link_log(const Link *l, int level, const char *message_id, const char *format, ...) {
        char message[LOG_MESSAGE_MAX];
        va_list ap;

        if (!log_is_wanted(level))
                return;

        va_start(ap, format);
        vsnprintf(message, sizeof message, format, ap);
        va_end(ap);
        if (l->console)
                console_log(l->console, level, message_id, l->record.peer, "%s", message);
        else
                link_log_unidentified(l, level, message_id, message);
}

/*
 * Beginning
 */

bool link_is_identified(const Link *l) {
        return l->record.state == LINK_LIVE || l->record.state == LINK_HANDED_OVER;
}

bool link_is_heard(const Link *l) {
        return link_is_identified(l) && !l->handover_from && l->pending.size == 0;
}

void link_start_timeout(Link *l, TimeoutKind kind) {
        timeout_start(concentrator_timeouts(l->concentrator, kind), &l->timeout);
        l->record.timeout_since = l->timeout.since_usec;
}

static int link_offer(Link *l) {
        telnet_connection_begin(&l->telnet, link_policy(l));
        return telnet_connection_offer(&l->telnet);
}

/* Begins telnet without TLS. */
static int link_begin_plain(Link *l) {
        const Settings *settings = concentrator_settings(l->concentrator);
        bool may_start = concentrator_tls(l->concentrator) && settings->start_tls, must = settings_require_tls(settings);

        l->record.security = must ? LINK_MUST_START_TLS : may_start ? LINK_MAY_START_TLS : LINK_PLAIN;
        return must && !may_start ? LINK_E_PLAIN : link_offer(l);
}

/* The account wants the memory back. This is probably not an ESXi host: hosts identify their VM within milliseconds. */
static bool link_given_up(Charge *charge) {
        link_close(container_of(charge, Link, charge), LINK_E_RECLAIMED);
        return true;
}

void link_update_charge(Link *l) {
        if (l->record.state == LINK_HANDSHAKE)
                charge_set(&l->charge, sizeof *l + telnet_connection_size(&l->telnet) + l->telnet.stream.out.allocated +
                                               l->pending.allocated);
        else
                charge_close(&l->charge);
}

int link_new(Concentrator *c, int fd, const SocketAddress *peer) {
        Link *l = calloc(1, sizeof(Link));
        if (!l) {
                safe_close(fd);
                return -ENOMEM;
        }

        int r = telnet_connection_open(&l->telnet, concentrator_poller(c), WIRE_PLAIN(fd), &link_handler);
        if (r < 0) {
                free(l);
                return r;
        }

        stream_limit_stuck_peer(&l->telnet.stream, LINK_STUCK_USEC);
        l->concentrator = c;
        l->record.input_limit = INPUT_NO_MARK;
        l->pending = BUFFER_INIT(LINK_PENDING_MAX);
        address_format(peer, l->record.peer);
        const AccountKey key = account_key_of_address(peer);
        charge_open(&l->charge, concentrator_account(c), &key, CHARGE_UNIDENTIFIED, link_given_up);
        com_port_init(&l->record.com_port);
        concentrator_add_link(c, l);
        link_start_timeout(l, TIMEOUT_HANDSHAKE);

        /* If there is a certificate, wait for the first byte, which may be TLS. */
        l->telnet.record.peeks = concentrator_tls(c);
        r = concentrator_is_closed(c) ? LINK_E_CLOSED : l->telnet.record.peeks ? 0 : link_begin_plain(l);
        if (link_judge(l, r)) /* ESXi sends at once: reading here saves a segment, because answers are sent with our offers */
                telnet_connection_read(&l->telnet);

        return 0;
}

/*
 * Output: from the VM
 */

void link_deliver_pending(Link *l) {
        if (!link_is_identified(l) || l->handover_from || l->pending.size == 0 ||
            !console_has_room(l->console, l->pending.size))
                return;

        console_output(l->console, buffer_data(&l->pending), l->pending.size);
        buffer_clear(&l->pending);
        link_update_reading(l);
}

static int link_data(TelnetConnection *t, uint8_t *data, size_t n) {
        Link *l = container_of(t, Link, telnet);

        l->record.talked = true;
        if (link_is_heard(l)) {
                console_output(l->console, data, n);
                return 0;
        }

        return buffer_append(&l->pending, data, n) < 0 ? LINK_E_TALKATIVE : 0;
}

int link_put(Link *l, VMwareCode code, const void *data, size_t n) {
        return vmware_put(&l->telnet.stream.out, code, data, n);
}

/*
 * Plain text and TLS
 */

/* Discards everything that was received in plain text, because it may not be from the host. */
static int link_begin_tls(Link *l) {
        TlsContext *context = concentrator_tls(l->concentrator);

        l->record.security = LINK_TLS;
        l->record.authenticating = false;
        com_port_init(&l->record.com_port);
        buffer_clear(&l->pending);
        link_leave_doubts(l);
        free(TAKE_PTR(l->uri));
        free(TAKE_PTR(l->name));
        l->record.identity = (VmIdentity){};
        timeout_stop(&l->question);

        int r = context ? telnet_connection_start_tls(&l->telnet, context, NULL) : -ENOTSUP;
        if (r < 0)
                return r;

        link_update_charge(l);
        return link_offer(l);
}

static int link_begins(TelnetConnection *t, bool like_tls) {
        Link *l = container_of(t, Link, telnet);

        if (l->record.security != LINK_UNDECIDED) /* without a certificate, telnet has begun already */
                return like_tls && l->record.security == LINK_PLAIN ? LINK_E_TLS_NOT_HERE : 0;

        return like_tls ? link_begin_tls(l) : link_begin_plain(l);
}

static int link_ask_authentication(Link *l) {
        l->record.authenticating = true;
        return authentication_put(&l->telnet.stream.out, AUTHENTICATION_SEND);
}

static int link_decline_tls(Link *l) {
        l->record.authenticating = false;
        if (l->record.security == LINK_MUST_START_TLS)
                return LINK_E_PLAIN;

        return telnet_option_enabled(&l->telnet.record.session.options, TELNET_HIM, TELNET_VMWARE) ? link_ask(l) : 0;
}

static int link_accept_tls(Link *l) {
        if (authentication_put(&l->telnet.stream.out, AUTHENTICATION_ACCEPTED) < 0 || stream_flush(&l->telnet.stream) <= 0)
                return TELNET_E_DEAF;

        return link_begin_tls(l);
}

static int link_handle_authentication(Link *l, const TelnetEvent *event) {
        AuthenticationMessage message = authentication_parse(event);

        if (!l->record.authenticating || l->record.state != LINK_HANDSHAKE) {
                link_log(l, LOG_DEBUG, NULL, "authenticates without having been asked to");
                return 0;
        }

        return message == AUTHENTICATION_START ? link_accept_tls(l) : link_decline_tls(l);
}

/*
 * Telnet
 */

static int link_negotiate(TelnetConnection *t, const TelnetEvent *event) {
        Link *l = container_of(t, Link, telnet);
        TelnetAnswer answer = {};

        int r = telnet_connection_negotiate(t, event, &answer);
        if (r < 0)
                return r;

        if (event->option == TELNET_COM_PORT && answer.changed && l->record.state == LINK_LIVE)
                console_has_news(l->console);
        if (telnet_command_side(event->command) != TELNET_HIM)
                return 0;

        bool begins = answer.changed && event->command == TELNET_WILL;

        switch (event->option) {

        case TELNET_AUTHENTICATION:
                if (begins && l->record.state == LINK_HANDSHAKE)
                        return link_ask_authentication(l);
                if (event->command == TELNET_WONT && (answer.refused || l->record.authenticating))
                        return link_decline_tls(l);
                return 0;

        case TELNET_VMWARE:
                if (answer.refused)
                        return LINK_E_NOT_ESXI;
                return begins && !l->record.authenticating ? link_ask(l) : 0;

        default:
                return 0;
        }
}

static int link_handle_com_port(Link *l, const TelnetEvent *event) {
        char before[COM_PORT_TEXT_MAX], text[COM_PORT_TEXT_MAX];

        com_port_format(&l->record.com_port, before);
        int r = com_port_handle(&l->record.com_port, event, &l->telnet.stream.out);
        if (r < 0 || streq(com_port_format(&l->record.com_port, text), before))
                return r;

        link_log(l, LOG_DEBUG, NULL, "its serial port is set to %s", text);
        if (l->record.state == LINK_LIVE)
                console_has_news(l->console);
        return 0;
}

static int link_subnegotiate(TelnetConnection *t, const TelnetEvent *event) {
        Link *l = container_of(t, Link, telnet);
        VMwareSuboption suboption;

        if (!telnet_option_enabled(&l->telnet.record.session.options, TELNET_HIM, event->option)) {
                link_log(l, LOG_DEBUG, NULL, "subnegotiates option %u, which is not in force", event->option);
                return 0;
        }

        switch (event->option) {

        case TELNET_VMWARE:
                return vmware_parse(event, &suboption) < 0 ? 0 : link_take_suboption(l, &suboption);

        case TELNET_COM_PORT:
                return link_handle_com_port(l, event);

        case TELNET_AUTHENTICATION:
                return link_handle_authentication(l, event);

        default:
                return 0;
        }
}

static size_t link_space(TelnetConnection *t) {
        const Link *l = container_of(t, Link, telnet);

        return link_is_heard(l) ? console_output_space(l->console) : LINK_HANDSHAKE_READ_MAX;
}

void link_flush_soon(Link *l) {
        if (l->console)
                console_changed(l->console);
        else
                link_flush(l);
}

static void link_received(TelnetConnection *t, _unused_ size_t n) {
        link_flush_soon(container_of(t, Link, telnet));
}

static void link_closed(TelnetConnection *t, int verdict) {
        link_close(container_of(t, Link, telnet), verdict);
}

static void link_writable(TelnetConnection *t) {
        link_flush_soon(container_of(t, Link, telnet));
}

/* Telnet commands from a VM are ignored. */
static const TelnetHandler link_handler = {
        .line_end = TELNET_CR_LF_KEPT,
        .out_max = LINK_OUT_MAX,
        .answers_max = LINK_LIVE_ANSWERS_MAX,
        .space = link_space,
        .begins = link_begins,
        .data = link_data,
        .negotiation = link_negotiate,
        .subnegotiation = link_subnegotiate,
        .received = link_received,
        .closed = link_closed,
        .writable = link_writable,
};

/* Returns: whether the link only waits for answers of other hosts. Its own output would only fill the buffer. */
static bool link_waits_for_others(const Link *l) {
        return l->doubted_at && vm_identity_is_settled(&l->record.identity, VM_UUID_BIOS);
}

void link_update_reading(Link *l) {
        bool reading = link_is_identified(l)
                               ? link_is_heard(l) && !l->console->output_blocked
                               : l->telnet.stream.out.size <= LINK_ANSWERS_MAX && !link_waits_for_others(l);

        telnet_connection_want(&l->telnet, reading ? TELNET_WANTS_DATA : TELNET_WANTS_NOTHING);
}

void link_handshake_elapsed(Timeout *t) {
        link_close(container_of(t, Link, timeout), LINK_E_SLOW);
}
