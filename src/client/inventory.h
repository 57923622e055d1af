/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection.h"

/*
 * Inventory: fetches all VMs, or those that match a name, as an array of the interface's VM objects, sorted by name.
 * Its size is limited.
 */

/* Limits of the sum of VarlinkReply.cost; 16,000 VMs cost 10 MiB. INVENTORY_ASIDE_MAX: if the list is only used
 * for an error message, or somebody is waiting at a console */
#define INVENTORY_MAX (64U * 1024U * 1024U)
#define INVENTORY_ASIDE_MAX (16U * 1024U * 1024U)

/* @name: NULL for all VMs. If no VM matches, the error reply is NoSuchVM. @max: one of the above. Returns: the
 * values of connection_receive(), or -EFBIG at the limit. */
int inventory_fetch(Connection *c, const char *name, size_t max, json_t **ret_vms);

/* The same for words of the command line: names and the like, and patterns of names ("web*"); without a word, all VMs.
 * If that fails because of a word, c->subject is this word. */
int inventory_fetch_words(Connection *c, char *const *words, size_t n_words, json_t **ret_vms);
