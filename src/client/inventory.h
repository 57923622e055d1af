/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection.h"

/*
 * Inventory: the VMs that vspcd knows, all of them or those of a name, as an array of objects that is sorted
 * by name. Its size is bounded, whatever vspcd says.
 */

/* Of all replies together, each as VarlinkReply.cost has it. Sixteen thousand VMs are 10 MiB.
 * INVENTORY_ASIDE_MAX: where the list only helps to explain something, or somebody waits at a console. */
#define INVENTORY_MAX (64U * 1024U * 1024U)
#define INVENTORY_ASIDE_MAX (16U * 1024U * 1024U)

/* @name: NULL for all; of a name, that vspcd knows no such VM is a refusal. @max: one of these. Returns: as
 * connection_receive(); -EFBIG at the bound. */
int inventory_fetch(Connection *c, const char *name, size_t max, json_t **ret_vms);
