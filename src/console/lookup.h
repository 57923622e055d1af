/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console.h"

/*
 * Lookup: which VM somebody means. A VM is designated by its identity, its UUID in any usual spelling, its port,
 * its name, or the beginning of its UUID; the first of these that fits anything decides. Names come late, for who
 * owns a VM may call it what another VM's port is. They need not be unique, nor UUIDs under MultiConsole=.
 */
#define LOOKUP_CANDIDATES_MAX 1024U

typedef struct Lookup {
        Console *candidates[LOOKUP_CANDIDATES_MAX]; /* the first of them */
        size_t n;                                   /* 0: no such VM; 1: found; more: ambiguous */
} Lookup;

void lookup(const Concentrator *c, const char *designation, Lookup *ret);
