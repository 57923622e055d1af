/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Which names somebody may have meant who has given one that nobody bears. */

/* More than this is no name of a VM, and similar to nothing. */
#define SIMILAR_NAME_MAX 256U

/* How far @name is from @wanted, whatever their case: 0 for the same, 1 if one contains the other, more for
 * letters to be added, removed, changed or swapped. Returns: -1 if they have too little in common. */
int similar_distance(const char *wanted, const char *name);

/* The one of @verbs, whose last is followed by NULL, that @word may stand for: in another case, cut short, misspelt, or
 * as other programs call the same. Returns: NULL if there is none. */
const char *similar_verb(const char *const *verbs, const char *word);
