/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmware.h"

/*
 * VmIdentity: the UUIDs that an ESXi host sends for its VM, and which of them to ask for next. A VM is identified by
 * its vCenter instance UUID; without one (for example because it is not registered with a vCenter) by its BIOS UUID;
 * and without that by its location UUID.
 *
 * A host can answer that there is no such UUID (an empty text), that it does not know the question
 * (UNKNOWN-SUBOPTION-RCVD-1), or that it never sends the instance UUID (no code 80 in KNOWN-SUBOPTIONS-1). It may
 * also not answer: the owner of this record then calls vm_identity_give_up() after VM_IDENTITY_ANSWER_USEC. Each
 * question is asked once.
 */
#define VM_IDENTITY_ANSWER_USEC UINT64_C(2000000)

typedef enum VmUuidKind {
        VM_UUID_VC,
        VM_UUID_BIOS,
        VM_UUID_LOCATION,
        _VM_UUID_KIND_MAX,
} VmUuidKind;

typedef enum VmUuidState {
        VM_UUID_UNASKED,
        VM_UUID_ASKED,
        VM_UUID_TOLD,
        VM_UUID_NONE,   /* the host has answered that there is none, or that it cannot send it */
        VM_UUID_SILENT, /* the host has not answered in time */
} VmUuidState;

typedef struct VmIdentity { /* all zero: nothing has been asked or received */
        struct {
                VmUuidState state;
                uint8_t uuid[16];
        } uuids[_VM_UUID_KIND_MAX];
} VmIdentity;

/* Handles a suboption. Suboptions that are not about UUIDs are ignored, and a UUID that has been received is not
 * changed. Returns: 0, or -EBADMSG for a VM-VC-UUID that is neither empty nor a UUID. */
int vm_identity_handle(VmIdentity *i, const VMwareSuboption *s);

/* Returns: whether to ask the host for this UUID now. Then *ret_code is the question, which counts as asked. */
bool vm_identity_ask(VmIdentity *i, VmUuidKind kind, VMwareCode *ret_code);

/* The same for the first kind of UUID that the VM may have. */
bool vm_identity_ask_next(VmIdentity *i, VMwareCode *ret_code);

/* Stops waiting: questions without an answer become VM_UUID_SILENT. */
void vm_identity_give_up(VmIdentity *i);

/* Returns: whether an answer is missing. */
bool vm_identity_is_waiting(const VmIdentity *i);

/* Returns: whether the host has sent this UUID, has answered that there is none, or we have stopped waiting. */
bool vm_identity_is_settled(const VmIdentity *i, VmUuidKind kind);

/* Returns: the UUID, or NULL if it has not been received. */
const uint8_t *vm_identity_get(const VmIdentity *i, VmUuidKind kind);

/* Returns: the UUID that identifies the VM, or NULL if it is not known yet. */
const uint8_t *vm_identity_uuid(const VmIdentity *i);

/* Returns: whether the host has answered that there is no UUID of any kind. A silent host is not hopeless: the
 * link may be the target of a vMotion, which does not answer before it has sent VMOTION-PEER. */
bool vm_identity_is_hopeless(const VmIdentity *i);
