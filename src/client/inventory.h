/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection.h"

/*
 * Inventory: the VMs that vspcd knows, all of them or those of a name, as an array of objects that is sorted
 * by name. Its size is bounded, whatever vspcd says.
 */

/* Of all replies together, each as VarlinkReply.cost has it. Sixteen thousand VMs are 10 MiB.
 * INVENTORY_ASIDE_MAX: for what only helps. */
#define INVENTORY_MAX (64U * 1024U * 1024U)
#define INVENTORY_ASIDE_MAX (16U * 1024U * 1024U)

/* @name: NULL for all. @max: one of these. vspcd may take the time of an answer for each VM. *ret_refusal is
 * set if there was an error of Varlink's: then it is the caller's, and *ret_vms is not set.
 * Returns: 0 or a negative errno, see varlink_strerror(); -EFBIG at the bound. */
int inventory_fetch(Connection *c, const char *name, size_t max, json_t **ret_vms,
                    VarlinkReply *ret_refusal);
