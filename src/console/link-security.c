/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether a link travels in plain text or in TLS, and how it comes to the one or the other: its first byte, or
 * AUTHENTICATION in the middle of telnet. */

#include "link.h"
#include "message.h"
#include "telnet/authentication.h"

void link_refuse_closed(Link *l) {
        link_log(l, LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED,
                 "is refused: something is wrong in [TLS] of the configuration, see the status of the service");
        link_refuse(l, "This concentrator takes no VMs: its configuration has to be mended first\r\n");
}

static void link_refuse_plain(Link *l) {
        const Settings *settings = &l->concentrator->settings;

        link_log(l, LOG_NOTICE, VSPC_MESSAGE_VM_REFUSED,
                 "does not speak TLS, which %s= wants: the vSPC URI has to begin with telnets://",
                 settings->require_vm_certificate ? "RequireVMCertificate" : "RequireVMTLS");
        link_refuse(l, "This concentrator takes TLS only: the vSPC URI has to begin with telnets://\r\n");
}

void link_begin_plain(Link *l) {
        const Settings *settings = &l->concentrator->settings;
        bool may_start = l->concentrator->tls && settings->start_tls, must = settings_require_tls(settings);

        if (must && !may_start) {
                link_refuse_plain(l);
                return;
        }

        l->security = must ? LINK_MUST_START_TLS : may_start ? LINK_MAY_START_TLS : LINK_PLAIN;
        link_offer(l);
}

/* All begins anew: nothing of what was said in plain text, by whoever has, is true of the VM. */
static void link_begin_tls(Link *l) {
        Concentrator *c = l->concentrator;

        l->security = LINK_TLS;
        l->authenticating = false;
        telnet_session_init(&l->telnet, TELNET_CR_LF_KEPT);
        com_port_init(&l->com_port);
        buffer_clear(&l->pending);
        link_leave_doubts(l);
        free(TAKE_PTR(l->uri));
        free(TAKE_PTR(l->name));
        l->identity = (VmIdentity){};
        timeout_stop(&l->question);

        int r = c->tls ? stream_start_tls(&l->stream, c->tls, NULL) : -ENOTSUP;
        if (r < 0) {
                link_fail(l, r, "cannot speak TLS with it");
                return;
        }

        link_offer(l);
        link_update_charge(l);
}

bool link_begin(Link *l) {
        uint8_t first = 0;
        ssize_t n = stream_peek(&l->stream, &first);

        if (n == -EAGAIN)
                return false;
        if (n <= 0) /* for the reader to find */
                return true;

        if (first == LINK_TLS_FIRST_BYTE)
                link_begin_tls(l);
        else
                link_begin_plain(l);

        return l->state != LINK_DEAD;
}

void link_ask_authentication(Link *l) {
        size_t queued = l->stream.out.size;

        l->authenticating = true;
        int r = telnet_session_settle(&l->telnet, &l->stream.out);
        if (r >= 0)
                r = authentication_put(&l->stream.out, AUTHENTICATION_SEND);
        (void) link_answered(l, queued, r);
}

void link_decline_tls(Link *l) {
        l->authenticating = false;
        if (l->security == LINK_MUST_START_TLS)
                link_refuse_plain(l);
        else if (telnet_option_enabled(&l->telnet.options, TELNET_HIM, TELNET_VMWARE))
                link_ask(l);
}

static void link_accept_tls(Link *l) {
        int r = telnet_session_settle(&l->telnet, &l->stream.out);
        if (r >= 0)
                r = authentication_put(&l->stream.out, AUTHENTICATION_ACCEPTED);
        if (r >= 0)
                r = stream_flush(&l->stream) > 0 ? 0 : -ENOBUFS;

        if (r < 0)
                link_fail(l, r, "does not read our answers");
        else
                link_begin_tls(l);
}

void link_handle_authentication(Link *l, const TelnetEvent *event) {
        AuthenticationMessage message = authentication_parse(event);

        if (!l->authenticating || l->state != LINK_HANDSHAKE)
                link_log(l, LOG_DEBUG, NULL, "authenticates without having been asked to");
        else if (message == AUTHENTICATION_START)
                link_accept_tls(l);
        else
                link_decline_tls(l);
}
