/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Finds similar names, to be suggested when a name does not exist. */

/* Longer names are not compared. */
#define SIMILAR_NAME_MAX 256U

/* Compares two names, ignoring case. Returns: 0 if they are equal, 1 if one contains the other, more for each
 * letter that is added, removed, changed or swapped, or -1 if they have too little in common. */
int similar_distance(const char *wanted, const char *name);

/* @verbs: ends with NULL. Returns: the verb that was probably meant by @word (in another case, abbreviated,
 * misspelt, or another program's word for it); NULL if there is none. */
const char *similar_verb(const char *const *verbs, const char *word);
