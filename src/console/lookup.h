/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console.h"

/*
 * Lookup: which VM somebody means. A VM is designated by its identity, its name, its UUID in any usual spelling,
 * its port, or the beginning of its UUID; the first of these that fits anything decides. Names need not be
 * unique, and under MultiConsole= neither are UUIDs.
 */
#define LOOKUP_CANDIDATES_MAX 32U

typedef struct Lookup {
        Console *candidates[LOOKUP_CANDIDATES_MAX]; /* the first of them */
        size_t n;                                   /* 0: no such VM; 1: found; more: ambiguous */
} Lookup;

void lookup(const Concentrator *c, const char *designation, Lookup *ret);
