/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What ESXi says in option 232, and what it is answered. Until DO-PROXY, a UUID and VM-NAME have come, in whatever
 * order, the link is a stranger's. */

#include "basic/text.h"
#include "console-vmotion.h"
#include "link.h"
#include "message.h"

void link_wont_proxy(Link *l) {
        link_put(l, VMWARE_WONT_PROXY, NULL, 0);
        link_end_gently(l);
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

static void link_name(Link *l, const uint8_t *data, size_t n) {
        char *name = text_sanitize(data, n, LINK_NAME_MAX);

        if (!name) {
                link_end(l);
                return;
        }

        free(l->name);
        l->name = name;

        if (l->state == LINK_LIVE) {
                l->console->links_changed = true;
                link_rename_console(l);
        } else
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

        link_log(l, LOG_DEBUG, NULL, "does not know %s (%u)", vmware_code_name(data[0]), data[0]);
        if (data[0] == VMWARE_GET_VM_NAME && !l->name)
                link_name(l, NULL, 0);
}

void link_handle_suboption(Link *l, const VMwareSuboption *s) {
        switch ((VMwareCode) s->code) {

        case VMWARE_DO_PROXY:
                link_do_proxy(l, s->data, s->size);
                break;

        case VMWARE_KNOWN_SUBOPTIONS_1:
        case VMWARE_VM_VC_UUID:
        case VMWARE_VM_BIOS_UUID:
        case VMWARE_VM_LOCATION_UUID:
                link_take_identity(l, s);
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
                if (l->state != LINK_DEAD)
                        link_take_identity(l, s);
                break;

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
