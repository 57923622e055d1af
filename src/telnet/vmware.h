/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "codec.h"

/*
 * VMware's telnet extension, option 232: the suboptions that an ESXi host and a concentrator exchange.
 * Source: VMware, "Using a Proxy with vSphere Virtual Serial Ports" (vSphere Web Services SDK).
 *
 * A suboption is the content of a subnegotiation: a code and its data. The codec doubles IAC.
 */
typedef enum VMwareCode {
        VMWARE_KNOWN_SUBOPTIONS_1 = 0,        /* VM: codes it can send or accept */
        VMWARE_KNOWN_SUBOPTIONS_2 = 1,        /* proxy: likewise, always the same */
        VMWARE_UNKNOWN_SUBOPTION_RCVD_1 = 2,  /* VM: the code */
        VMWARE_UNKNOWN_SUBOPTION_RCVD_2 = 3,  /* proxy: the code */
        VMWARE_VMOTION_BEGIN = 40,            /* VM: sequence */
        VMWARE_VMOTION_GOAHEAD = 41,          /* proxy: sequence, secret */
        VMWARE_VMOTION_NOTNOW = 43,           /* proxy: sequence */
        VMWARE_VMOTION_PEER = 44,             /* VM: sequence, secret */
        VMWARE_VMOTION_PEER_OK = 45,          /* proxy: sequence */
        VMWARE_VMOTION_COMPLETE = 46,         /* VM: sequence */
        VMWARE_VMOTION_ABORT = 48,            /* VM: nothing, or sequence */
        VMWARE_DO_PROXY = 70,                 /* VM: direction 'C' or 'S', service URI */
        VMWARE_WILL_PROXY = 71,               /* proxy */
        VMWARE_WONT_PROXY = 73,               /* proxy */
        VMWARE_VM_VC_UUID = 80,               /* VM: UUID as text */
        VMWARE_GET_VM_VC_UUID = 81,           /* proxy */
        VMWARE_VM_NAME = 82,                  /* VM: UTF-8 by convention, any bytes in fact */
        VMWARE_GET_VM_NAME = 83,              /* proxy */
        VMWARE_VM_BIOS_UUID = 84,             /* VM */
        VMWARE_GET_VM_BIOS_UUID = 85,         /* proxy */
        VMWARE_VM_LOCATION_UUID = 86,         /* VM */
        VMWARE_GET_VM_LOCATION_UUID = 87,     /* proxy */
} VMwareCode;

/* DO-PROXY's direction */
#define VMWARE_DIRECTION_CLIENT 'C' /* the proxy should connect to the URI */
#define VMWARE_DIRECTION_SERVER 'S' /* the proxy should accept connections */

typedef struct VMwareSuboption {
        uint8_t code; /* VMwareCode, or any other byte */
        const uint8_t *data;
        size_t size;
} VMwareSuboption;

/* The codes that each end announces in KNOWN-SUBOPTIONS. */
extern const uint8_t vmware_known[];
extern const size_t n_vmware_known;

/* Parses a TELNET_EVENT_SUBNEGOTIATION of option 232. Returns: 0, or -EBADMSG if it is empty. */
int vmware_parse(const TelnetEvent *event, VMwareSuboption *ret);

/* Appends a suboption to @out. Returns: 0, -ENOBUFS (also if the suboption is too long for the codec), -ENOMEM. */
int vmware_put(Buffer *out, VMwareCode code, const void *data, size_t n);

/* Returns: the name for messages, such as "VMOTION-BEGIN"; "suboption" for an unknown code. */
const char *vmware_code_name(uint8_t code);

/*
 * Parses a UUID as sent by ESXi: 16 pairs of hex digits separated by spaces, with a dash between the 8th and the 9th.
 * Spaces and dashes are accepted anywhere; other characters, or more or less than 32 digits, are an error. Returns: 0
 * or -EBADMSG.
 */
int vmware_parse_uuid(const uint8_t *data, size_t n, uint8_t ret[static 16]);
