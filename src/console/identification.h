/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/*
 * Identification: which console a link belongs to.
 *
 * Two VMs may have the same UUID and the same Port URI: copies made by hand, or VMs of two vCenters. When a link comes
 * whose VM has another name than the VM of a live link, both hosts are asked for the BIOS UUID. If the BIOS UUIDs differ,
 * the second VM is a "clone" and gets a console of its own, UUID~BIOS. The new link waits for both answers ("doubtful"),
 * for VM_IDENTITY_ANSWER_USEC at most. If these do not tell the VMs apart, it joins the existing console, and clients
 * and log are told that two VMs share it (console-clash.c).
 */

/* Joins its VM's console, if URI, UUID and name are known and not in doubt. Returns: 0, a verdict, or a negative errno. */
int link_identify(Link *l);

/* Tries again to have the doubtful links of @c join a console: the answers that they wait for may have come. */
void console_settle_doubts(Console *c);

/* Removes the link from the list of doubtful links, if it is in one. */
void link_leave_doubts(Link *l);
