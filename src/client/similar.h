/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Suggestions for names that do not exist: which similar ones may have been meant. */

/* Longer names are not compared. */
#define SIMILAR_NAME_MAX 256U

/* Compares without regard to case. Returns: 0 if they are the same, 1 if one contains the other, more for
 * each letter that is added, removed, changed or swapped, or -1 if they have too little in common. */
int similar_distance(const char *wanted, const char *name);

/* @verbs: NULL at the end. Returns: the verb that @word may stand for: in another case, cut short, misspelt,
 * or another program's word for it; NULL if there is none. */
const char *similar_verb(const char *const *verbs, const char *word);
