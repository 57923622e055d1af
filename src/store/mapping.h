/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "vspc-backend.h"

/*
 * Mapping: which port a VM has. Where one is kept it is a copy in one piece of memory, strings included.
 */
typedef VspcMapping Mapping;

/* Returns: what is wrong with it, in words, or NULL if it is what the concentrator itself would have made: text that is
 * fit for people, and an ID that is its own. */
const char *mapping_problem(const Mapping *m);

/* To be freed with free(). Returns: NULL if memory is short. */
Mapping *mapping_dup(const Mapping *m);
