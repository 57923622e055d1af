/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "console-vmotion.h"
#include "identification.h"
#include "message.h"
#include "suboptions.h"

int link_ask_uuid(Link *l, VMwareCode question) {
        timeout_start(concentrator_timeouts(l->concentrator, TIMEOUT_QUESTION), &l->question);
        return link_put(l, question, NULL, 0);
}

static int link_ask_next(Link *l) {
        VMwareCode question;

        return vm_identity_ask_next(&l->record.identity, &question) ? link_ask_uuid(l, question) : 0;
}

/* All questions are asked at once, as vSPC.py does. This saves a round trip for each VM, a quarter of all segments. */
int link_ask(Link *l) {
        int r = link_put(l, VMWARE_KNOWN_SUBOPTIONS_2, vmware_known, n_vmware_known);
        if (r == 0)
                r = link_ask_next(l);

        return r == 0 ? link_put(l, VMWARE_GET_VM_NAME, NULL, 0) : r;
}

bool link_is_same_port(const Link *a, const Link *b) {
        const uint8_t *x = vm_identity_get(&a->record.identity, VM_UUID_BIOS);
        const uint8_t *y = vm_identity_get(&b->record.identity, VM_UUID_BIOS);

        if (!a->uri || !b->uri || !streq(a->uri, b->uri))
                return false;

        return x && y ? memcmp(x, y, 16) == 0 : !a->name || !b->name || streq(a->name, b->name);
}

/* Tells the host that its VM is served, once the URI is accepted and the UUID is known. */
static int link_will_proxy(Link *l) {
        if (l->record.state != LINK_HANDSHAKE || !l->uri || !vm_identity_uuid(&l->record.identity))
                return 0;

        return link_put(l, VMWARE_WILL_PROXY, NULL, 0);
}

/* Must be called after each change of the VM's identity. @was_known: whether the identifying UUID was known before the change */
static int link_identity_changed(Link *l, bool was_known) {
        int r = 0;

        if (l->record.state != LINK_HANDSHAKE) {
                if (l->console)
                        console_links_changed(l->console);
                return 0;
        }

        if (vm_identity_is_hopeless(&l->record.identity)) {
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "its host tells no UUID of the VM, neither instance nor BIOS nor location UUID, closing it");
                return LINK_E_NOT_SERVED;
        }

        if (!l->record.authenticating)
                r = link_ask_next(l);
        if (r == 0 && !was_known)
                r = link_will_proxy(l);

        return r == 0 ? link_identify(l) : r;
}

static int link_take_identity(Link *l, const VMwareSuboption *s) {
        const VmIdentity before = l->record.identity;

        if (vm_identity_handle(&l->record.identity, s) < 0 && l->record.state == LINK_HANDSHAKE) {
                _cleanup_free_ char *text = text_sanitize(s->data, s->size, 64);

                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "its VM-VC-UUID \"%s\" is not 32 hex digits, closing it", text ?: "");
                return LINK_E_NOT_SERVED;
        }

        if (memcmp(&l->record.identity, &before, sizeof before) == 0)
                return 0;
        if (!vm_identity_is_waiting(&l->record.identity))
                timeout_stop(&l->question);

        /* A vMotion's target is identified by its secret. A different UUID is unusual, but has no effect. */
        const uint8_t *vc_uuid = vm_identity_get(&l->record.identity, VM_UUID_VC);
        if (l->console && vc_uuid && !vm_identity_get(&before, VM_UUID_VC) && memcmp(vc_uuid, l->console->record.uuid, 16) != 0)
                link_log(l, LOG_NOTICE, NULL, "has another UUID now according to its host, which is ignored");

        return link_identity_changed(l, vm_identity_uuid(&before));
}

static int link_do_proxy(Link *l, const uint8_t *data, size_t n) {
        const Settings *settings = concentrator_settings(l->concentrator);

        if (l->record.state != LINK_HANDSHAKE || l->uri) {
                link_log(l, LOG_DEBUG, NULL, "sends DO-PROXY again, which changes nothing");
                return 0;
        }

        char direction = n > 0 ? (char) data[0] : 0;
        l->uri = text_sanitize(n > 0 ? data + 1 : NULL, n > 0 ? n - 1 : 0, TELNET_SUBNEGOTIATION_MAX);
        if (!l->uri)
                return -ENOMEM;

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
                int r = link_will_proxy(l);
                return r == 0 ? link_identify(l) : r;
        }

        return LINK_E_NOT_SERVED;
}

void link_rename_console(Link *l) {
        if (l->name && console_rename(l->console, l->name) < 0)
                link_log(l, LOG_ERR, NULL, "no memory for its new name \"%s\"", l->name);
}

static int link_name(Link *l, const uint8_t *data, size_t n) {
        char *name = text_sanitize(data, n, LINK_NAME_MAX);

        if (!name)
                return -ENOMEM;

        free(l->name);
        l->name = name;
        if (l->record.state != LINK_LIVE)
                return link_identify(l);

        console_links_changed(l->console);
        link_rename_console(l);
        return 0;
}

/* ESXi has not understood one of our suboptions. */
static int link_unknown_suboption(Link *l, const VMwareSuboption *s) {
        if (s->size < 1)
                return 0;

        link_log(l, LOG_DEBUG, NULL, "does not know %s (%u)", vmware_code_name(s->data[0]), s->data[0]);
        int r = s->data[0] == VMWARE_GET_VM_NAME && !l->name ? link_name(l, NULL, 0) : 0;

        return r == 0 ? link_take_identity(l, s) : r;
}

int link_take_suboption(Link *l, const VMwareSuboption *s) {
        switch (s->code) {

        case VMWARE_DO_PROXY:
                return link_do_proxy(l, s->data, s->size);

        case VMWARE_KNOWN_SUBOPTIONS_1:
        case VMWARE_VM_VC_UUID:
        case VMWARE_VM_BIOS_UUID:
        case VMWARE_VM_LOCATION_UUID:
                return link_take_identity(l, s);

        case VMWARE_VM_NAME:
                return link_name(l, s->data, s->size);

        case VMWARE_VMOTION_BEGIN:
                return vmotion_begin(l, s->data, s->size);

        case VMWARE_VMOTION_ABORT:
                vmotion_abort(l, s->data, s->size);
                return 0;

        case VMWARE_VMOTION_PEER:
                return vmotion_take_target(l, s->data, s->size);

        case VMWARE_VMOTION_COMPLETE:
                vmotion_complete(l, s->data, s->size);
                return 0;

        case VMWARE_UNKNOWN_SUBOPTION_RCVD_1:
                return link_unknown_suboption(l, s);

        default:
                if (memchr(vmware_known, s->code, n_vmware_known)) {
                        link_log(l, LOG_DEBUG, NULL, "sends %s, which is for a concentrator to send", vmware_code_name(s->code));
                        return 0;
                }

                return link_put(l, VMWARE_UNKNOWN_SUBOPTION_RCVD_2, &s->code, 1);
        }
}

void link_question_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, question);
        bool was_known = vm_identity_uuid(&l->record.identity);

        link_log(l, LOG_DEBUG, NULL, "its host has not answered a question for a UUID");
        vm_identity_give_up(&l->record.identity);
        if (link_judge(l, link_identity_changed(l, was_known)))
                link_flush_soon(l);
}
