/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>

#include "console-vmotion.h"
#include "identification.h"
#include "link-input.h"
#include "message.h"
#include "suboptions.h"
#include "telnet/authentication.h"

/* Bytes in one read of a connection that is not live */
#define LINK_HANDSHAKE_READ_MAX 4096U

static const TelnetHandler link_handler;

/*
 * What is agreed to
 */

static const int16_t for_us[] = {TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END};
static const int16_t for_vm[] = {TELNET_BINARY,   TELNET_SGA,     TELNET_VMWARE,
                                 TELNET_COM_PORT, TELNET_OPTION_END};
static const int16_t for_vm_that_may[] = {TELNET_BINARY,   TELNET_SGA,            TELNET_VMWARE,
                                          TELNET_COM_PORT, TELNET_AUTHENTICATION, TELNET_OPTION_END};

/* Where TLS is required, option 232 is refused in plain text: nothing of what a VM says there is understood. */
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
 * What is logged
 */

/* Of one that has no console: what all of these have logged is bounded. */
static void link_log_unidentified(const Link *l, int level, const char *message_id, const char *message) {
        const LogField peer = {"VSPC_PEER=", l->record.peer};
        const LogFields fields = {.message_id = message_id, .field = &peer, .n_fields = 1};
        unsigned n_left_out = 0;

        if (level < LOG_DEBUG && !concentrator_may_log_unidentified(l->concentrator, &n_left_out))
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
 * Its life
 */

/* It is known for good which VM it is: the console is that VM's. */
static bool link_is_identified(const Link *l) {
        return l->record.state == LINK_LIVE || l->record.state == LINK_HANDED_OVER;
}

/* Whether what it says goes to its console at once. */
static bool link_is_heard(const Link *l) {
        return link_is_identified(l) && !l->handover_from && l->pending.size == 0;
}

static void link_start_timeout(Link *l, TimeoutKind kind) {
        timeout_start(concentrator_timeouts(l->concentrator, kind), &l->timeout);
        l->record.timeout_since = l->timeout.since_usec;
}

static int link_offer(Link *l) {
        telnet_connection_begin(&l->telnet, link_policy(l));
        return telnet_connection_offer(&l->telnet);
}

/* It speaks telnet, or nothing but telnet is spoken here. */
static int link_begin_plain(Link *l) {
        const Settings *settings = concentrator_settings(l->concentrator);
        bool may_start = concentrator_tls(l->concentrator) && settings->start_tls, must = settings_require_tls(settings);

        l->record.security = must ? LINK_MUST_START_TLS : may_start ? LINK_MAY_START_TLS : LINK_PLAIN;
        return must && !may_start ? LINK_E_PLAIN : link_offer(l);
}

/* The account wants its memory back. Most likely it is no ESXi host: that would have said which VM it is within
 * milliseconds. */
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

        /* Where it may be TLS, nothing can be said before the host has. */
        l->telnet.record.peeks = concentrator_tls(c);
        r = concentrator_is_closed(c) ? LINK_E_CLOSED : l->telnet.record.peeks ? 0 : link_begin_plain(l);
        if (r != 0)
                link_close(l, telnet_connection_verdict(&l->telnet, r));
        else /* ESXi speaks at once: more often than not its first bytes are there, and all can be said in one */
                telnet_connection_read(&l->telnet);

        return 0;
}

void link_close(Link *l, LinkVerdict verdict) {
        Concentrator *c = l->concentrator;

        assert(verdict != 0);
        if (l->verdict != 0)
                return;

        l->verdict = verdict;
        timeout_stop(&l->timeout);
        timeout_stop(&l->question);
        timeout_stop(&l->stall);
        timeout_stop(&l->handover);
        link_leave_doubts(l);
        if (verdict == LINK_E_RECLAIMED) {
                buffer_clear(&l->pending);
                charge_close(&l->charge);
        }

        /* Where there is nobody left to be told anything, its descriptor is free at once. */
        if (verdict == LINK_E_RECLAIMED || verdict == LINK_E_ENDED || verdict == LINK_E_BROKEN)
                telnet_connection_close(&l->telnet);
        else
                telnet_connection_stop(&l->telnet);

        if (l->console)
                console_remove_link(l->console, l);
        concentrator_collect_link(c, l);
}

/* What is logged at the end, and what the host is told: a text, or that its VM is not served. */
static const struct {
        int level;
        const char *message_id;
        const char *text; /* NULL: nothing is logged, or it has been */
        const char *told;
        bool gently; /* what is queued is sent first */
} link_ends[_LINK_VERDICT_MAX] = {
        [LINK_E_DEAD] = {LOG_INFO, NULL, "host does not respond any more, closing the connection"},
        [LINK_E_TLS_MIXED] = {LOG_WARNING, VSPC_MESSAGE_PROTOCOL_VIOLATION,
                              "has begun TLS and sent more bytes in plain text, closing it"},
        [LINK_E_TLS_NOT_HERE] = {LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED,
                                 "begins TLS, for which there is no certificate: give one in CertificateFile=, or use telnet:// "
                                 "in the vSPC URI, not telnets://"},
        [LINK_E_CLOSED] = {LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED,
                           "is refused: something is wrong in [TLS] of the configuration, see the status of the service",
                           "This concentrator accepts no VMs until its configuration is corrected\r\n", true},
        [LINK_E_NOT_ESXI] = {LOG_INFO, VSPC_MESSAGE_VM_REFUSED,
                             "is not an ESXi host (it refuses telnet option 232), closing it",
                             "This port is for ESXi hosts. A VM's console is at the VM's own port.\r\n", true},
        [LINK_E_PLAIN] = {.told = "This concentrator accepts only TLS: the vSPC URI must begin with telnets://\r\n",
                          .gently = true},
        [LINK_E_NOT_SERVED] = {.gently = true},
        [LINK_E_DEAF] = {LOG_INFO, NULL, "does not read our answers, closing it"},
        [LINK_E_SLOW] = {LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED, "has not said in time which VM it is, closing it"},
        [LINK_E_HANDED_OVER] = {LOG_INFO, NULL, "the vMotion's source host has not closed its connection, closing it"},
};

/* The same for what has a figure or a name in it */
static void link_log_end(const Link *l) {
        const Settings *settings = concentrator_settings(l->concentrator);
        char uuid[UUID_TEXT_MAX];

        switch (l->verdict) {

        case LINK_E_TLS:
                link_log(l, LOG_NOTICE, link_is_identified(l) ? NULL : VSPC_MESSAGE_VM_REFUSED, "TLS has failed: %s",
                         stream_problem(&l->telnet.stream));
                break;

        case LINK_E_PLAIN:
                link_log(l, LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED,
                         "does not use TLS, which %s= requires: the vSPC URI must begin with telnets://",
                         settings->require_vm_certificate ? "RequireVMCertificate" : "RequireVMTLS");
                break;

        case LINK_E_OVERLONG:
                link_log(l, LOG_WARNING, VSPC_MESSAGE_PROTOCOL_VIOLATION,
                         "sent a subnegotiation of option %u of more than %u bytes, closing it", l->telnet.record.session.in.option,
                         TELNET_SUBNEGOTIATION_MAX);
                break;

        case LINK_E_TALKATIVE:
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "sent more than %u bytes before saying which VM it is, closing it", LINK_PENDING_MAX);
                break;

        case LINK_E_TOO_MANY:
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_DISCONNECTED,
                         "has more than %u connections, closing the oldest", CONSOLE_LINKS_MAX);
                break;

        case LINK_E_TOO_DOUBTFUL:
                uuid_format(vm_identity_uuid(&l->record.identity), uuid);
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "is one of more than %u connections of VM %s, closing it", CONSOLE_LINKS_MAX, uuid);
                break;

        case LINK_E_FAILED:
                link_log(l, LOG_INFO, NULL, "fails: %s", strerror(-l->telnet.error));
                break;

        case LINK_E_ENDED:
        case LINK_E_BROKEN:
                if (!link_is_identified(l))
                        link_log(l, LOG_DEBUG, NULL, "closed before saying which VM it is");
                break;

        default:
                if (link_ends[l->verdict].text)
                        link_log(l, link_ends[l->verdict].level, link_ends[l->verdict].message_id, "%s",
                                 link_ends[l->verdict].text);
        }
}

static void link_say_goodbye(Link *l) {
        const char *told = link_ends[l->verdict].told;
        bool gently = link_ends[l->verdict].gently;

        if (l->verdict == LINK_E_SLOW && l->record.security == LINK_UNDECIDED) { /* it may be a person with telnet */
                told = link_ends[LINK_E_NOT_ESXI].told;
                gently = true;
        }

        if (told) {
                (void) telnet_connection_complete(&l->telnet);
                (void) buffer_append(&l->telnet.stream.out, told, strlen(told));
        }

        if (l->verdict == LINK_E_NOT_SERVED && l->uri)
                (void) link_put(l, VMWARE_WONT_PROXY, NULL, 0);
        if (gently)
                closer_take(concentrator_closer(l->concentrator), &l->telnet.stream, charge_is_open(&l->charge) ? &l->charge : NULL);
}

/* @source: NULL if there is none (any more) */
static void link_set_handover(Link *l, Link *source) {
        if (l->handover_from)
                l->handover_from->handover_to = NULL;
        if (source)
                source->handover_to = l;

        l->handover_from = source;
        l->record.handover_from = source ? source->record.number : 0;
}

static void link_end_handover(Link *l) {
        timeout_stop(&l->handover);
        link_set_handover(l, NULL);
}

void link_reap(Link *l) {
        Console *console = l->console;

        link_log_end(l);
        link_say_goodbye(l);
        if (!console)
                concentrator_metrics(l->concentrator)->vm_connections_refused++;
        if (l->record.state == LINK_LIVE && l->verdict != LINK_E_RECLAIMED) /* it is the concentrator that ends then, not the VM */
                console_link_ended(console, l->record.peer);

        if (l->handover_from)
                link_end_handover(l);
        if (link_is_identified(l) && l->pending.size > 0) /* its last words, and no other chance */
                console_output(console, buffer_data(&l->pending), l->pending.size);

        /* What the target of its vMotion has kept comes next. */
        if (l->handover_to)
                link_end_handover(l->handover_to);
        if (l->vmotion)
                vmotion_link_closed(l->vmotion, l);

        /* The VM has another connection, whose peer is told from now on. */
        if (l->record.state == LINK_LIVE && console_active_link(console))
                console_has_news(console);
        if (console)
                console_changed(console);

        telnet_connection_close(&l->telnet);
        charge_close(&l->charge);
        buffer_clear(&l->pending);
        free(l->uri);
        free(l->name);
        free(l);
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
        int r = telnet_connection_complete(&l->telnet);

        return r < 0 ? r : vmware_put(&l->telnet.stream.out, code, data, n);
}

/*
 * Plain text and TLS
 */

/* All begins anew: nothing of what was said in plain text, by whoever has, is true of the VM. */
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

        if (l->record.security != LINK_UNDECIDED) /* it has been spoken to at once, for nothing but telnet is spoken here */
                return like_tls && l->record.security == LINK_PLAIN ? LINK_E_TLS_NOT_HERE : 0;

        return like_tls ? link_begin_tls(l) : link_begin_plain(l);
}

static int link_put_authentication(Link *l, AuthenticationMessage message) {
        int r = telnet_connection_complete(&l->telnet);

        return r < 0 ? r : authentication_put(&l->telnet.stream.out, message);
}

static int link_ask_authentication(Link *l) {
        l->record.authenticating = true;
        return link_put_authentication(l, AUTHENTICATION_SEND);
}

static int link_decline_tls(Link *l) {
        l->record.authenticating = false;
        if (l->record.security == LINK_MUST_START_TLS)
                return LINK_E_PLAIN;

        return telnet_option_enabled(&l->telnet.record.session.options, TELNET_HIM, TELNET_VMWARE) ? link_ask(l) : 0;
}

static int link_accept_tls(Link *l) {
        if (link_put_authentication(l, AUTHENTICATION_ACCEPTED) < 0 || stream_flush(&l->telnet.stream) <= 0)
                return LINK_E_DEAF;

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
        int r = telnet_connection_complete(&l->telnet);
        if (r >= 0)
                r = com_port_handle(&l->record.com_port, event, &l->telnet.stream.out);
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

/* Of all commands none means anything from a VM. */
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

/* Nothing that it could say is waited for: what its VM says meanwhile would only fill its buffer. */
static bool link_waits_for_others(const Link *l) {
        return l->doubted_at && vm_identity_is_settled(&l->record.identity, VM_UUID_BIOS);
}

void link_update_reading(Link *l) {
        bool reading = link_is_identified(l)
                               ? link_is_heard(l) && !l->console->output_blocked
                               : l->telnet.stream.out.size <= LINK_ANSWERS_MAX && !link_waits_for_others(l);

        telnet_connection_want(&l->telnet, reading ? TELNET_WANTS_DATA : TELNET_WANTS_NOTHING);
}

/*
 * Coming and going
 */

void link_become_peer(Link *l, VMotion *v) {
        l->vmotion = v;
        l->record.state = LINK_PEER;
        link_leave_doubts(l);
        link_update_charge(l);
        timeout_stop(&l->timeout);
        console_add_link(v->console, l);
}

void link_go_live(Link *l, Link *source) {
        l->record.state = LINK_LIVE;
        console_links_changed(l->console);
        link_update_charge(l);
        concentrator_metrics(l->concentrator)->vm_connections++;
        timeout_stop(&l->timeout);
        link_rename_console(l);
        l->record.input = input_ring_end(&l->console->input);

        if (source) {
                link_set_handover(l, source);
                source->record.talked = false;
                timeout_start(concentrator_timeouts(l->concentrator, TIMEOUT_HANDOVER), &l->handover);
        }

        link_deliver_pending(l);
        link_update_reading(l);
}

void link_hand_over(Link *l) {
        l->record.state = LINK_HANDED_OVER;
        l->telnet.record.mute = true;
        timeout_stop(&l->stall);
        console_links_changed(l->console);
        buffer_clear(&l->telnet.stream.out);
        if (l->verdict == 0)
                link_start_timeout(l, TIMEOUT_HANDED_OVER);
}

/* Whether it is still talking, or would be if it were read. Asks about the time since it was last asked. */
static bool link_has_more_to_say(Link *l) {
        return TAKE(l->record.talked, false) || !link_is_heard(l) || l->console->output_blocked ||
               stream_has_unread(&l->telnet.stream);
}

void link_handover_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, handover);

        if (l->handover_from->verdict == 0 && link_has_more_to_say(l->handover_from)) {
                timeout_start(concentrator_timeouts(l->concentrator, TIMEOUT_HANDOVER), t);
                return;
        }

        /* The source has said all that it will: its target's output goes out. */
        link_end_handover(l);
        link_deliver_pending(l);
        link_update_reading(l);
        console_changed(l->console);
}

void link_handed_over_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, timeout);

        if (link_has_more_to_say(l))
                link_start_timeout(l, TIMEOUT_HANDED_OVER);
        else
                link_close(l, LINK_E_HANDED_OVER);
}

void link_handshake_elapsed(Timeout *t) {
        link_close(container_of(t, Link, timeout), LINK_E_SLOW);
}
