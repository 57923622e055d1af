/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmware.h"

/*
 * VmIdentity: the UUIDs that an ESXi host tells of its VM, and which of them is asked for next. A VM is known by its
 * vCenter instance UUID. One that has none, because it is not registered with a vCenter for example, is known by its
 * BIOS UUID, and one that has none of these by its location UUID.
 *
 * A host may say that it has no such UUID (an empty text), that it does not know the question
 * (UNKNOWN-SUBOPTION-RCVD-1), that it will never tell the instance UUID (no code 80 in KNOWN-SUBOPTIONS-1), or nothing
 * at all: its owner then calls vm_identity_give_up() after VM_IDENTITY_ANSWER_USEC. Each question is put once.
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
        VM_UUID_NONE,   /* the host says that it has none, or cannot tell it */
        VM_UUID_SILENT, /* the host has not answered in time */
} VmUuidState;

typedef struct VmIdentity { /* all zero: nothing has been asked or told */
        struct {
                VmUuidState state;
                uint8_t uuid[16];
        } uuids[_VM_UUID_KIND_MAX];
} VmIdentity;

/* Takes in what a suboption says of the UUIDs; those about something else change nothing. A UUID that has been told
 * stays as it is. Returns: 0, or -EBADMSG for a VM-VC-UUID that is neither empty nor a UUID. */
int vm_identity_handle(VmIdentity *i, const VMwareSuboption *s);

/* Returns: whether the host is to be asked for this UUID now; then *ret_code is the question, which counts as asked. */
bool vm_identity_ask(VmIdentity *i, VmUuidKind kind, VMwareCode *ret_code);

/* The same for the first kind of UUID that the VM has or may have. */
bool vm_identity_ask_next(VmIdentity *i, VMwareCode *ret_code);

/* Stops waiting for answers: what has been asked for and not been told is SILENT. */
void vm_identity_give_up(VmIdentity *i);

/* Whether the answer to a question is still to come. */
bool vm_identity_is_waiting(const VmIdentity *i);

/* Whether the host has told this UUID, has said that there is none, or has been given up. */
bool vm_identity_is_settled(const VmIdentity *i, VmUuidKind kind);

/* A UUID that has been told, else NULL. */
const uint8_t *vm_identity_get(const VmIdentity *i, VmUuidKind kind);

/* The UUID by which the VM is known; NULL: it is not known yet. */
const uint8_t *vm_identity_uuid(const VmIdentity *i);

/* Whether the host has said of all UUIDs that there are none. A host that is silent is not hopeless: the link may be a
 * vMotion's target, which does not answer before it has said so. */
bool vm_identity_is_hopeless(const VmIdentity *i);
