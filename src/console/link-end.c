/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The end of a link: what follows from it, what is logged, and what the host is told. */

#include <stdio.h>

#include "console-vmotion.h"
#include "identification.h"
#include "message.h"

void link_close(Link *l, int verdict) {
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

        /* If the peer is gone, no last message can be sent: close the descriptor at once. */
        if (verdict == LINK_E_RECLAIMED || verdict == TELNET_E_ENDED || verdict == TELNET_E_BROKEN)
                telnet_connection_close(&l->telnet);
        else
                telnet_connection_stop(&l->telnet);

        if (l->console)
                console_remove_link(l->console, l);
        concentrator_add_link_to_gc_queue(c, l);
}

bool link_judge(Link *l, int r) {
        int verdict = telnet_connection_verdict(&l->telnet, r);

        if (verdict != 0)
                link_close(l, verdict);
        return l->verdict == 0;
}

/* For each verdict: what is logged, and what the host is told */
static const struct {
        int level;
        const char *message_id;
        const char *text; /* followed by link_end_detail(); NULL: nothing is logged here */
        const char *rest; /* after the detail; may be NULL */
        const char *told; /* may be NULL */
        bool gently;      /* send the queue before closing the connection */
} link_ends[_LINK_VERDICT_MAX] = {
        [TELNET_E_DEAD] = {LOG_INFO, NULL, "host does not respond any more, closing the connection"},
        [TELNET_E_TLS] = {LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED, "TLS has failed: "},
        [TELNET_E_TLS_MIXED] = {LOG_WARNING, VSPC_MESSAGE_PROTOCOL_VIOLATION,
                              "has begun TLS and sent more bytes in plain text, closing it"},
        [TELNET_E_OVERLONG] = {LOG_WARNING, VSPC_MESSAGE_PROTOCOL_VIOLATION, "sent a subnegotiation of option ",
                             " of more than 1024 bytes, closing it"},
        [TELNET_E_DEAF] = {LOG_INFO, NULL, "does not read our answers, closing it"},
        [TELNET_E_FAILED] = {LOG_INFO, NULL, "fails: "},
        [LINK_E_TLS_NOT_HERE] = {LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED,
                                 "begins TLS, for which there is no certificate: give one in CertificateFile=, or use telnet:// "
                                 "in the vSPC URI, not telnets://"},
        [LINK_E_PLAIN] = {LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED, "does not use TLS, which ",
                          "= requires: the vSPC URI must begin with telnets://",
                          "This concentrator accepts only TLS: the vSPC URI must begin with telnets://\r\n", true},
        [LINK_E_CLOSED] = {LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED,
                           "is refused: something is wrong in [TLS] of the configuration, see the status of the service", NULL,
                           "This concentrator accepts no VMs until its configuration is corrected\r\n", true},
        [LINK_E_NOT_ESXI] = {LOG_INFO, VSPC_MESSAGE_VM_REFUSED,
                             "is not an ESXi host (it refuses telnet option 232), closing it", NULL,
                             "This port is for ESXi hosts. A VM's console is at the VM's own port.\r\n", true},
        [LINK_E_NOT_SERVED] = {.gently = true},
        [LINK_E_TALKATIVE] = {LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                              "sent more than 32768 bytes before saying which VM it is, closing it"},
        [LINK_E_SLOW] = {LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED, "has not said in time which VM it is, closing it"},
        [LINK_E_TOO_MANY] = {LOG_WARNING, VSPC_MESSAGE_VM_DISCONNECTED, "has more than 32 connections, closing the oldest"},
        [LINK_E_TOO_DOUBTFUL] = {LOG_WARNING, VSPC_MESSAGE_VM_REFUSED, "is one of more than 32 connections of VM ",
                                 ", closing it"},
        [LINK_E_HANDED_OVER] = {LOG_INFO, NULL, "the vMotion's source host has not closed its connection, closing it"},
};

static_assert(TELNET_SUBNEGOTIATION_MAX == 1024 && LINK_PENDING_MAX == 32768 && CONSOLE_LINKS_MAX == 32, "as in link_ends[]");

/* Returns: the variable part of the message, which may be in @buffer. */
static const char *link_end_detail(const Link *l, char buffer[static UUID_TEXT_MAX]) {
        switch (l->verdict) {

        case TELNET_E_TLS:
                return stream_problem(&l->telnet.stream);

        case LINK_E_PLAIN:
                return concentrator_settings(l->concentrator)->require_vm_certificate ? "RequireVMCertificate" : "RequireVMTLS";

        case TELNET_E_OVERLONG:
                snprintf(buffer, UUID_TEXT_MAX, "%u", l->telnet.record.session.in.option);
                return buffer;

        case LINK_E_TOO_DOUBTFUL:
                uuid_format(vm_identity_uuid(&l->record.identity), buffer);
                return buffer;

        case TELNET_E_FAILED:
                return strerror(-l->telnet.error);

        default:
                return "";
        }
}

static void link_log_end(const Link *l) {
        bool served = l->verdict == TELNET_E_TLS && link_is_identified(l);
        const char *text = link_ends[l->verdict].text, *message_id = served ? NULL : link_ends[l->verdict].message_id;
        char buffer[UUID_TEXT_MAX];

        if ((l->verdict == TELNET_E_ENDED || l->verdict == TELNET_E_BROKEN) && !link_is_identified(l))
                link_log(l, LOG_DEBUG, NULL, "closed before saying which VM it is");
        if (text)
                link_log(l, link_ends[l->verdict].level, message_id, "%s%s%s", text, link_end_detail(l, buffer),
                         link_ends[l->verdict].rest ?: "");
}

static void link_say_goodbye(Link *l) {
        const char *told = link_ends[l->verdict].told;
        bool gently = link_ends[l->verdict].gently;

        if (l->verdict == LINK_E_SLOW && l->record.security == LINK_UNDECIDED) { /* perhaps a person with a telnet program */
                told = link_ends[LINK_E_NOT_ESXI].told;
                gently = true;
        }

        if (told)
                (void) buffer_append(&l->telnet.stream.out, told, strlen(told));
        if (l->verdict == LINK_E_NOT_SERVED && l->uri)
                (void) link_put(l, VMWARE_WONT_PROXY, NULL, 0);
        if (gently)
                closer_take(concentrator_closer(l->concentrator), &l->telnet.stream,
                            charge_is_open(&l->charge) ? &l->charge : NULL);
}

void link_gc(Link *l) {
        Console *console = l->console;

        link_log_end(l);
        link_say_goodbye(l);
        if (!console)
                concentrator_metrics(l->concentrator)->vm_connections_refused++;
        if (l->record.state == LINK_LIVE && l->verdict != LINK_E_RECLAIMED) /* otherwise vspcd has ended it, not the VM */
                console_link_ended(console, l->record.peer);

        if (l->handover_from)
                link_end_handover(l);
        if (link_is_identified(l) && l->pending.size > 0) /* the last opportunity */
                console_output(console, buffer_data(&l->pending), l->pending.size);

        /* Then the target's output, which has waited for that of this link. */
        if (l->handover_to)
                link_end_handover(l->handover_to);
        if (l->vmotion)
                vmotion_link_closed(l->vmotion, l);

        /* The VM has another connection, which admin interfaces show from now on. */
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
