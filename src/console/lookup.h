/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console.h"

/*
 * Lookup: finds the VM that a text designates: by its identity, its UUID in any usual spelling, its port, its name, or the
 * beginning of its UUID, in this order. The first of these that matches any VM decides. Ports come before names, because the
 * name of a VM may be a number. Names need not be unique, nor need UUIDs with MultiConsole=. If several VMs have the same UUID,
 * the UUID designates the first one, and "UUID~BIOS UUID" the others.
 */
#define LOOKUP_CANDIDATES_MAX 64U

/* How a VM matches, the best first */
typedef enum Fit {
        FIT_UUID,
        FIT_PORT,
        FIT_NAME,
        FIT_UUID_PREFIX,
        FIT_NOT,
} Fit;

/* A text, parsed */
typedef struct Designation {
        const char *text; /* borrowed */
        uint64_t port;    /* 0: the text is not a port */
        uint8_t digits[2 * 2 * 16]; /* hex digits of one or two UUIDs */
        size_t n_digits;        /* 0: the text is not a UUID or the beginning of one */
} Designation;

void designation_parse(Designation *d, const char *text);
Fit designation_fit(const Designation *d, const Console *console);

typedef struct Lookup {
        Console *candidates[LOOKUP_CANDIDATES_MAX]; /* the first of them */
        size_t n;                                   /* 0: no such VM; 1: found; more: ambiguous */
        Fit fit;                                    /* the same for all of them */
} Lookup;

/* VMs that @who may not list are ignored; NULL: finds all VMs. @asker: see console_right(). */
void lookup(Concentrator *c, const char *designation, const Identity *who, Asker *asker, Lookup *ret);
