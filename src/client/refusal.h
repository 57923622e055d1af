/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection.h"

/*
 * Refusals: explains why a call has failed, and what can be done: shows names that are similar to an unknown name,
 * the VMs that an ambiguous name matches, or who holds which access since when.
 */

/* The maximum of similar names and of matching VMs that are shown */
#define REFUSAL_NAMES_MAX 5U
#define REFUSAL_CANDIDATES_MAX 20U

/* REFUSAL_BRIEF: without another call to vspcd, if somebody is waiting at a console */
typedef enum RefusalDetail {
        REFUSAL_BRIEF,
        REFUSAL_IN_FULL,
} RefusalDetail;

/* @error: of a call of @c or of the end of the connection. @vm: as given by the user. REFUSAL_IN_FULL: fetches all
 * VMs if that helps, within the time limit of one reply. Returns: lines without a newline at the end, to be freed;
 * NULL if memory is short. */
char *refusal_explain(const Connection *c, int error, const char *vm, RefusalDetail detail);

/* Returns: whether the call may succeed later, because the VM appears or other clients leave. */
bool refusal_may_pass(const VarlinkReply *reply);
