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

/* REFUSAL_BRIEF: for who has something else to do than to wait for vspcd again */
typedef enum RefusalDetail {
        REFUSAL_BRIEF,
        REFUSAL_IN_FULL,
} RefusalDetail;

/* @vm: as it was asked for. In full: it asks vspcd at @targets for more where that helps, for the time that
 * one answer may take.
 * Returns: text of one or more lines without the last one's end, to be freed; NULL if memory is short. */
char *refusal_explain(const VarlinkReply *reply, const char *vm, const Targets *targets, Users users,
                      RefusalDetail detail);

/* Whether time may heal it: the VM may appear, others may leave. */
bool refusal_may_pass(const VarlinkReply *reply);
