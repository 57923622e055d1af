/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "vmware.h"

const uint8_t vmware_known[] = {
        VMWARE_KNOWN_SUBOPTIONS_1,
        VMWARE_KNOWN_SUBOPTIONS_2,
        VMWARE_UNKNOWN_SUBOPTION_RCVD_1,
        VMWARE_UNKNOWN_SUBOPTION_RCVD_2,
        VMWARE_VMOTION_BEGIN,
        VMWARE_VMOTION_GOAHEAD,
        VMWARE_VMOTION_NOTNOW,
        VMWARE_VMOTION_PEER,
        VMWARE_VMOTION_PEER_OK,
        VMWARE_VMOTION_COMPLETE,
        VMWARE_VMOTION_ABORT,
        VMWARE_DO_PROXY,
        VMWARE_WILL_PROXY,
        VMWARE_WONT_PROXY,
        VMWARE_VM_VC_UUID,
        VMWARE_GET_VM_VC_UUID,
        VMWARE_VM_NAME,
        VMWARE_GET_VM_NAME,
        VMWARE_VM_BIOS_UUID,
        VMWARE_GET_VM_BIOS_UUID,
        VMWARE_VM_LOCATION_UUID,
        VMWARE_GET_VM_LOCATION_UUID,
};
const size_t n_vmware_known = ELEMENTSOF(vmware_known);

int vmware_parse(const TelnetEvent *event, VMwareSuboption *ret) {
        if (event->size == 0)
                return -EBADMSG;

        *ret = (VMwareSuboption){.code = event->data[0], .data = event->data + 1, .size = event->size - 1};
        return 0;
}

int vmware_put(Buffer *out, VMwareCode code, const void *data, size_t n) {
        uint8_t suboption[TELNET_SUBNEGOTIATION_MAX];

        if (n >= sizeof suboption)
                return -ENOBUFS;

        suboption[0] = (uint8_t) code;
        if (n > 0)
                memcpy(suboption + 1, data, n);

        return telnet_put_subnegotiation(out, TELNET_VMWARE, suboption, n + 1);
}

const char *vmware_code_name(uint8_t code) {
        switch ((VMwareCode) code) {
        case VMWARE_KNOWN_SUBOPTIONS_1:       return "KNOWN-SUBOPTIONS-1";
        case VMWARE_KNOWN_SUBOPTIONS_2:       return "KNOWN-SUBOPTIONS-2";
        case VMWARE_UNKNOWN_SUBOPTION_RCVD_1: return "UNKNOWN-SUBOPTION-RCVD-1";
        case VMWARE_UNKNOWN_SUBOPTION_RCVD_2: return "UNKNOWN-SUBOPTION-RCVD-2";
        case VMWARE_VMOTION_BEGIN:            return "VMOTION-BEGIN";
        case VMWARE_VMOTION_GOAHEAD:          return "VMOTION-GOAHEAD";
        case VMWARE_VMOTION_NOTNOW:           return "VMOTION-NOTNOW";
        case VMWARE_VMOTION_PEER:             return "VMOTION-PEER";
        case VMWARE_VMOTION_PEER_OK:          return "VMOTION-PEER-OK";
        case VMWARE_VMOTION_COMPLETE:         return "VMOTION-COMPLETE";
        case VMWARE_VMOTION_ABORT:            return "VMOTION-ABORT";
        case VMWARE_DO_PROXY:                 return "DO-PROXY";
        case VMWARE_WILL_PROXY:               return "WILL-PROXY";
        case VMWARE_WONT_PROXY:               return "WONT-PROXY";
        case VMWARE_VM_VC_UUID:               return "VM-VC-UUID";
        case VMWARE_GET_VM_VC_UUID:           return "GET-VM-VC-UUID";
        case VMWARE_VM_NAME:                  return "VM-NAME";
        case VMWARE_GET_VM_NAME:              return "GET-VM-NAME";
        case VMWARE_VM_BIOS_UUID:             return "VM-BIOS-UUID";
        case VMWARE_GET_VM_BIOS_UUID:         return "GET-VM-BIOS-UUID";
        case VMWARE_VM_LOCATION_UUID:         return "VM-LOCATION-UUID";
        case VMWARE_GET_VM_LOCATION_UUID:     return "GET-VM-LOCATION-UUID";
        }

        return "suboption";
}

int vmware_parse_uuid(const uint8_t *data, size_t n, uint8_t ret[static 16]) {
        uint8_t uuid[16] = {};
        size_t digits = 0;

        for (size_t i = 0; i < n; i++) {
                if (data[i] == ' ' || data[i] == '-')
                        continue;

                int digit = text_hex_digit((char) data[i]);
                if (digit < 0 || digits == 2 * sizeof uuid)
                        return -EBADMSG;

                uuid[digits / 2] = (uint8_t) (uuid[digits / 2] << 4 | digit);
                digits++;
        }

        if (digits != 2 * sizeof uuid)
                return -EBADMSG;

        memcpy(ret, uuid, sizeof uuid);
        return 0;
}
