/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection.h"

/*
 * Inventory: the VMs that vspcd knows, all of them or those of a name, as an array of objects that is sorted
 * by name. Its size is bounded, whatever vspcd says.
 */

/* Bytes of all replies together: sixteen thousand VMs with all their clients */
#define INVENTORY_MAX (256U * 1024U * 1024U)

/* @name: NULL for all. *ret_refusal is set if there was an error of Varlink's: then it is the caller's, and
 * *ret_vms is not set.
 * Returns: 0 or a negative errno, see connection_strerror(); -EFBIG at the bound. */
int inventory_fetch(Connection *c, const char *name, json_t **ret_vms, VarlinkReply *ret_refusal);
