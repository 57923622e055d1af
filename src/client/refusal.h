/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection.h"
#include "vm.h"

/*
 * Refusals: the errors of the interface in words, with what helps to get on: names that are similar to the
 * one that is not known, the VMs that an ambiguous one may mean, who holds what access since when.
 */

/* At most so many names or candidates are shown. */
#define REFUSAL_NAMES_MAX 5U
#define REFUSAL_CANDIDATES_MAX 20U

/* @vm: as it was asked for. Asks vspcd at @targets for more where that helps.
 * Returns: text of one or more lines without the last one's end, to be freed; NULL if memory is short. */
char *refusal_explain(const VarlinkReply *reply, const char *vm, const Targets *targets, Users users);

/* Whether time may heal it: the VM may appear, others may leave. */
bool refusal_may_pass(const VarlinkReply *reply);
