/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection.h"

/*
 * Inventory: all VMs that vspcd knows, or those with a certain name: an array of the interface's objects VM,
 * sorted by name. Its size is bounded.
 */

/* Bounds of the sum of VarlinkReply.cost; sixteen thousand VMs are 10 MiB. INVENTORY_ASIDE_MAX: where the
 * list only helps to explain something, or somebody waits at a console */
#define INVENTORY_MAX (64U * 1024U * 1024U)
#define INVENTORY_ASIDE_MAX (16U * 1024U * 1024U)

/* @name: NULL for all VMs. That no VM has the name is a refusal (NoSuchVM). @max: one of the above. Returns:
 * as connection_receive(); -EFBIG at the bound. */
int inventory_fetch(Connection *c, const char *name, size_t max, json_t **ret_vms);
