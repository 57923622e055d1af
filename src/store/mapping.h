/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "vspc-backend.h"

/*
 * Mapping: a VM and its port. A copy (mapping_dup()) is one piece of memory, including the strings.
 */
typedef VspcMapping Mapping;

/* Returns: a description of the problem, or NULL if the mapping is one that the concentrator itself could have
 * made: its texts contain no control characters, and the ID matches the other fields. */
const char *mapping_problem(const Mapping *m);

/* To be freed with free(). Returns: NULL if memory is short. */
Mapping *mapping_dup(const Mapping *m);
