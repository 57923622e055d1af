/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console.h"

/*
 * Lookup: finds the VM that a text designates: by its identity, its UUID in any usual spelling, its port, its name, or the
 * beginning of its UUID, in this order. The first of these that fits any VM decides. Names come after ports, because the owner
 * of a VM may give it a number for a name. Names need not be unique, nor UUIDs under MultiConsole=. Of several VMs with one
 * UUID the first is designated by the UUID, the others by "UUID~BIOS UUID".
 */
#define LOOKUP_CANDIDATES_MAX 64U

/* How well a VM fits, best first */
typedef enum Fit {
        FIT_UUID,
        FIT_PORT,
        FIT_NAME,
        FIT_UUID_PREFIX,
        FIT_NOT,
} Fit;

/* What a text could designate */
typedef struct Designation {
        const char *text; /* borrowed */
        uint64_t port;    /* 0: the text is not a port */
        uint8_t digits[2 * 2 * 16]; /* of one or two UUIDs, each 0 to 15 */
        size_t n_digits;        /* 0: the text is not a UUID or the beginning of one */
} Designation;

void designation_parse(Designation *d, const char *text);
Fit designation_fit(const Designation *d, const Console *console);

typedef struct Lookup {
        Console *candidates[LOOKUP_CANDIDATES_MAX]; /* the first of them */
        size_t n;                                   /* 0: no such VM; 1: found; more: ambiguous */
        Fit fit;                                    /* of all of them */
} Lookup;

/* VMs that @who may not list are passed over; NULL: none is. @asker: see console_right(). */
void lookup(Concentrator *c, const char *designation, const Identity *who, Asker *asker, Lookup *ret);
