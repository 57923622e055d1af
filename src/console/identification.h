/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/*
 * Identification: finds the console that a link belongs to.
 *
 * Two VMs may have the same UUID and the same Port URI: copies made by hand, or VMs of two vCenters. If the name of a new link's
 * VM differs from that of a live link, both hosts are asked for the BIOS UUID. If the BIOS UUIDs differ, the second VM is a
 * "clone" and gets its own console, UUID~BIOS. The new link waits for both answers ("doubtful") for VM_IDENTITY_ANSWER_USEC at
 * most. If the answers do not distinguish the VMs, the link joins the existing console, and clients and the log are told that
 * two VMs share it (console-clash.c).
 */

/* Makes the link join its VM's console, if URI, UUID and name are known and not in doubt. Returns: 0, a verdict, or a negative
 * errno. */
int link_identify(Link *l);

/* Tries again to let the doubtful links of @c join a console: the answers that they wait for may have come. */
void console_settle_doubts(Console *c);

/* Removes the link from its list of doubtful links, if any. */
void link_leave_doubts(Link *l);
