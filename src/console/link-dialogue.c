/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What ESXi says in option 232, and what it is answered. Until DO-PROXY, VM-VC-UUID and VM-NAME have come, in
 * whatever order, the link is a stranger's. */

#include "basic/text.h"
#include "console-vmotion.h"
#include "link.h"
#include "message.h"

/* All questions at once, as vSPC.py has always put them to ESXi: what a VM is need not wait for where it wants to
 * go, and in a storm a round trip less for each VM is a quarter of all segments. */
void link_ask(Link *l) {
        link_put(l, VMWARE_KNOWN_SUBOPTIONS_2, vmware_known, n_vmware_known);
        link_put(l, VMWARE_GET_VM_VC_UUID, NULL, 0);
        link_put(l, VMWARE_GET_VM_NAME, NULL, 0);
}

static void link_wont_proxy(Link *l) {
        link_put(l, VMWARE_WONT_PROXY, NULL, 0);
        link_end_gently(l);
}

static Console *link_find_or_make_console(Link *l) {
        Concentrator *c = l->concentrator;
        _cleanup_free_ char *id = console_make_id(&c->settings, l->uuid, l->uri);
        if (!id)
                return NULL;

        Console *console = concentrator_find(c, id);
        if (!console)
                return console_new(c, id, l->uuid, l->name, l->uri, 0, &console) < 0 ? NULL : console;

        console_open_port(console);
        return console_set_uri(console, l->uri) < 0 ? NULL : console;
}

/* Once all is known, and not before, it joins its console. */
static void link_identify(Link *l) {
        if (l->state != LINK_HANDSHAKE || !l->uri || !l->has_uuid || !l->name)
                return;

        /* Its port may need a descriptor for which a handshake is given up: this one is over. */
        timeout_stop(&l->timeout);

        Console *console = link_find_or_make_console(l);
        if (!console) {
                link_log(l, LOG_ERR, VSPC_MESSAGE_VM_REFUSED, "no memory for another console, closing it");
                link_end(l);
                return;
        }

        if (console->n_links >= CONSOLE_LINKS_MAX) {
                console_log(console, LOG_WARNING, VSPC_MESSAGE_VM_DISCONNECTED, console->links->peer,
                            "has more than %u connections, closing the oldest", CONSOLE_LINKS_MAX);
                link_end(console->links);
        }

        bool has_another = console_speaker(console);
        console_add_link(console, l);
        link_go_live(l, NULL);
        vmotion_link_came(console, l);

        const char *how = l->stream.tls ? tls_session_version(l->stream.tls) : "", *in = *how ? " in " : "";

        if (console->port > 0)
                console_log(console, LOG_INFO, VSPC_MESSAGE_VM_CONNECTED, l->peer,
                            "connected from %s%s%s, its clients use port %u", l->peer, in, how, console->port);
        else
                console_log(console, LOG_INFO, VSPC_MESSAGE_VM_CONNECTED, l->peer,
                            "connected from %s%s%s, it has no port for clients", l->peer, in, how);

        console_settle(console);
        if (has_another) /* otherwise it counts as a VM that connects */
                concentrator_notify(l->concentrator, console, CONSOLE_CHANGED, NULL);
}

/* The URI is accepted and the UUID known: the concentrator serves this VM. */
static void link_will_proxy(Link *l) {
        if (l->state == LINK_HANDSHAKE && l->uri && l->has_uuid)
                link_put(l, VMWARE_WILL_PROXY, NULL, 0);
}

static void link_do_proxy(Link *l, const uint8_t *data, size_t n) {
        const Settings *settings = &l->concentrator->settings;

        if (l->state != LINK_HANDSHAKE || l->uri) {
                link_log(l, LOG_DEBUG, NULL, "sends DO-PROXY again, which changes nothing");
                return;
        }

        char direction = n > 0 ? (char) data[0] : 0;
        l->uri = text_sanitize(n > 0 ? data + 1 : NULL, n > 0 ? n - 1 : 0, TELNET_SUBNEGOTIATION_MAX);
        if (!l->uri) {
                link_end(l);
                return;
        }

        if (direction == VMWARE_DIRECTION_CLIENT)
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "asks to be connected to \"%s\": set the direction of the VM's serial port to Server",
                         l->uri);
        else if (direction != VMWARE_DIRECTION_SERVER)
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED, "sends DO-PROXY without a direction");
        else if (!settings_accept_uri(settings, l->uri))
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "its Port URI \"%s\" is not in ServiceURI=, refusing it", l->uri);
        else if (settings->multi_console && strchr(l->uri, '_'))
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "its Port URI \"%s\" contains \"_\", which MultiConsole= does not allow, refusing it",
                         l->uri);
        else {
                link_will_proxy(l);
                link_identify(l);
                return;
        }

        link_wont_proxy(l);
}

static void link_vc_uuid(Link *l, const uint8_t *data, size_t n) {
        uint8_t uuid[16];

        if (vmware_parse_uuid(data, n, uuid) < 0) {
                _cleanup_free_ char *text = text_sanitize(data, n, 64);

                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "its VM-VC-UUID \"%s\" is not 32 hex digits, closing it", text ?: "");
                if (l->uri)
                        link_wont_proxy(l);
                else
                        link_end(l);
                return;
        }

        if (l->has_uuid) /* said once is said for good */
                return;

        l->has_uuid = true;
        memcpy(l->uuid, uuid, sizeof uuid);

        /* A vMotion's target is known by its secret; that its UUID is another is strange, but no more. */
        if (l->console && memcmp(uuid, l->console->uuid, sizeof uuid) != 0)
                link_log(l, LOG_NOTICE, NULL, "has another UUID since the vMotion, going on");

        link_will_proxy(l);
        link_identify(l);
}

static void link_name(Link *l, const uint8_t *data, size_t n) {
        char *name = text_sanitize(data, n, LINK_NAME_MAX);

        if (!name) {
                link_end(l);
                return;
        }

        free(l->name);
        l->name = name;

        if (l->state == LINK_LIVE)
                link_rename_console(l);
        else
                link_identify(l);
}

void link_rename_console(Link *l) {
        if (l->name && console_rename(l->console, l->name) < 0)
                link_log(l, LOG_ERR, NULL, "no memory for its new name \"%s\"", l->name);
}

/* ESXi does not know a code of ours. */
static void link_unknown_suboption(Link *l, const uint8_t *data, size_t n) {
        if (n < 1)
                return;

        switch (data[0]) {

        case VMWARE_GET_VM_VC_UUID:
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "its host cannot tell the VM's UUID (ESXi 4.1 or later can), closing it");
                link_end(l);
                break;

        case VMWARE_GET_VM_NAME:
                if (!l->name)
                        link_name(l, NULL, 0);
                break;

        default:
                link_log(l, LOG_DEBUG, NULL, "does not know %s (%u)", vmware_code_name(data[0]), data[0]);
        }
}

void link_handle_suboption(Link *l, const VMwareSuboption *s) {
        switch ((VMwareCode) s->code) {

        case VMWARE_DO_PROXY:
                link_do_proxy(l, s->data, s->size);
                break;

        case VMWARE_VM_VC_UUID:
                link_vc_uuid(l, s->data, s->size);
                break;

        case VMWARE_VM_NAME:
                link_name(l, s->data, s->size);
                break;

        case VMWARE_VMOTION_BEGIN:
                vmotion_begin(l, s->data, s->size);
                break;

        case VMWARE_VMOTION_ABORT:
                vmotion_abort(l, s->data, s->size);
                break;

        case VMWARE_VMOTION_PEER:
                vmotion_peer(l, s->data, s->size);
                break;

        case VMWARE_VMOTION_COMPLETE:
                vmotion_complete(l, s->data, s->size);
                break;

        case VMWARE_UNKNOWN_SUBOPTION_RCVD_1:
                link_unknown_suboption(l, s->data, s->size);
                break;

        case VMWARE_KNOWN_SUBOPTIONS_1:
        case VMWARE_VM_BIOS_UUID:
        case VMWARE_VM_LOCATION_UUID:
                break; /* nothing depends on it */

        case VMWARE_KNOWN_SUBOPTIONS_2: /* ours to send: understood, and no use */
        case VMWARE_UNKNOWN_SUBOPTION_RCVD_2:
        case VMWARE_VMOTION_GOAHEAD:
        case VMWARE_VMOTION_NOTNOW:
        case VMWARE_VMOTION_PEER_OK:
        case VMWARE_WILL_PROXY:
        case VMWARE_WONT_PROXY:
        case VMWARE_GET_VM_VC_UUID:
        case VMWARE_GET_VM_NAME:
        case VMWARE_GET_VM_BIOS_UUID:
        case VMWARE_GET_VM_LOCATION_UUID:
                link_log(l, LOG_DEBUG, NULL, "sends %s, which is for a concentrator to send",
                         vmware_code_name(s->code));
                break;

        default:
                link_put(l, VMWARE_UNKNOWN_SUBOPTION_RCVD_2, &s->code, 1);
        }
}
