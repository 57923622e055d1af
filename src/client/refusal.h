/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection.h"

/*
 * Refusals: why a call has failed, in words, with what helps to go on: names that are similar to an unknown
 * one, the VMs that an ambiguous name matches, who holds which access since when.
 */

/* How many names and candidates are shown at most */
#define REFUSAL_NAMES_MAX 5U
#define REFUSAL_CANDIDATES_MAX 20U

/* REFUSAL_BRIEF: without asking vspcd for more, where somebody waits at a console */
typedef enum RefusalDetail {
        REFUSAL_BRIEF,
        REFUSAL_IN_FULL,
} RefusalDetail;

/* @error: of a call at @c, or with which the connection has ended. @vm: as it was named. In full: vspcd is
 * asked for all VMs where that helps, for the time that one answer may take. Returns: lines without the last
 * one's end, to be freed; NULL if memory is short. */
char *refusal_explain(const Connection *c, int error, const char *vm, RefusalDetail detail);

/* Whether it may succeed later: the VM may appear, others may leave. */
bool refusal_may_pass(const VarlinkReply *reply);
