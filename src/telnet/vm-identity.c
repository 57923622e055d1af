/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-identity.h"

static const struct {
        VMwareCode answer, question;
} codes[_VM_UUID_KIND_MAX] = {
        [VM_UUID_VC] = {VMWARE_VM_VC_UUID, VMWARE_GET_VM_VC_UUID},
        [VM_UUID_BIOS] = {VMWARE_VM_BIOS_UUID, VMWARE_GET_VM_BIOS_UUID},
        [VM_UUID_LOCATION] = {VMWARE_VM_LOCATION_UUID, VMWARE_GET_VM_LOCATION_UUID},
};

static bool is_blank(const uint8_t *data, size_t n) {
        for (size_t k = 0; k < n; k++)
                if (data[k] != ' ' && data[k] != '-')
                        return false;

        return true;
}

static void set_none(VmIdentity *i, VmUuidKind kind) {
        if (i->uuids[kind].state != VM_UUID_TOLD)
                i->uuids[kind].state = VM_UUID_NONE;
}

static int handle_uuid(VmIdentity *i, VmUuidKind kind, const uint8_t *data, size_t n) {
        if (i->uuids[kind].state == VM_UUID_TOLD)
                return 0;

        int r = vmware_parse_uuid(data, n, i->uuids[kind].uuid);
        if (r >= 0) {
                i->uuids[kind].state = VM_UUID_TOLD;
                return 0;
        }

        i->uuids[kind].state = VM_UUID_NONE;
        return kind == VM_UUID_VC && !is_blank(data, n) ? r : 0;
}

int vm_identity_handle(VmIdentity *i, const VMwareSuboption *s) {
        switch (s->code) {

        case VMWARE_KNOWN_SUBOPTIONS_1:
                if (s->size == 0 || !memchr(s->data, VMWARE_VM_VC_UUID, s->size))
                        set_none(i, VM_UUID_VC);
                return 0;

        case VMWARE_UNKNOWN_SUBOPTION_RCVD_1:
                for (VmUuidKind kind = 0; kind < _VM_UUID_KIND_MAX; kind++)
                        if (s->size > 0 && s->data[0] == codes[kind].question)
                                set_none(i, kind);
                return 0;

        default:
                for (VmUuidKind kind = 0; kind < _VM_UUID_KIND_MAX; kind++)
                        if (s->code == codes[kind].answer)
                                return handle_uuid(i, kind, s->data, s->size);
                return 0;
        }
}

bool vm_identity_ask(VmIdentity *i, VmUuidKind kind, VMwareCode *ret_code) {
        if (i->uuids[kind].state != VM_UUID_UNASKED)
                return false;

        i->uuids[kind].state = VM_UUID_ASKED;
        *ret_code = codes[kind].question;
        return true;
}

bool vm_identity_is_settled(const VmIdentity *i, VmUuidKind kind) {
        return i->uuids[kind].state > VM_UUID_ASKED;
}

/* Returns: the first kind of UUID that the VM may have; _VM_UUID_KIND_MAX if it has no UUID. */
static VmUuidKind decisive_kind(const VmIdentity *i) {
        VmUuidKind kind = 0;

        while (kind < _VM_UUID_KIND_MAX && i->uuids[kind].state > VM_UUID_TOLD)
                kind++;

        return kind;
}

bool vm_identity_ask_next(VmIdentity *i, VMwareCode *ret_code) {
        VmUuidKind kind = decisive_kind(i);

        return kind < _VM_UUID_KIND_MAX && vm_identity_ask(i, kind, ret_code);
}

void vm_identity_give_up(VmIdentity *i) {
        for (VmUuidKind kind = 0; kind < _VM_UUID_KIND_MAX; kind++)
                if (i->uuids[kind].state == VM_UUID_ASKED)
                        i->uuids[kind].state = VM_UUID_SILENT;
}

bool vm_identity_is_waiting(const VmIdentity *i) {
        for (VmUuidKind kind = 0; kind < _VM_UUID_KIND_MAX; kind++)
                if (i->uuids[kind].state == VM_UUID_ASKED)
                        return true;

        return false;
}

const uint8_t *vm_identity_get(const VmIdentity *i, VmUuidKind kind) {
        return i->uuids[kind].state == VM_UUID_TOLD ? i->uuids[kind].uuid : NULL;
}

const uint8_t *vm_identity_uuid(const VmIdentity *i) {
        VmUuidKind kind = decisive_kind(i);

        return kind < _VM_UUID_KIND_MAX ? vm_identity_get(i, kind) : NULL;
}

bool vm_identity_is_hopeless(const VmIdentity *i) {
        for (VmUuidKind kind = 0; kind < _VM_UUID_KIND_MAX; kind++)
                if (i->uuids[kind].state != VM_UUID_NONE)
                        return false;

        return true;
}
