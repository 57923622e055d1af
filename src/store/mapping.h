/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "vspc-backend.h"

/*
 * Mapping: which port a VM has. Where one is kept it is a copy in one piece of memory, strings included.
 */
typedef VspcMapping Mapping;

/* To be freed with free(). Returns: NULL if memory is short. */
Mapping *mapping_dup(const Mapping *m);
