/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console.h"

/*
 * Lookup: which VM somebody means. A VM is designated by its identity, its UUID in any usual spelling, its port,
 * its name, or the beginning of its UUID; the first of these that fits anything decides. Names come late, for who
 * owns a VM may call it what another VM's port is. They need not be unique, nor UUIDs under MultiConsole=. Of VMs that
 * have one UUID the first is designated by it, the others are by "UUID~BIOS UUID", which it is the beginning of.
 */
#define LOOKUP_CANDIDATES_MAX 64U

/* How well a VM fits, best first. */
typedef enum Fit {
        FIT_UUID,
        FIT_PORT,
        FIT_NAME,
        FIT_UUID_PREFIX,
        FIT_NOT,
} Fit;

/* What a text could mean. */
typedef struct Designation {
        const char *text; /* borrowed */
        uint64_t port;    /* 0: it is none */
        uint8_t digits[2 * 2 * 16]; /* of a UUID or two, 0 to 15 each */
        size_t n_digits;        /* 0: it is no UUID, nor the beginning of one */
} Designation;

void designation_parse(Designation *d, const char *text);
Fit designation_fit(const Designation *d, const Console *console);

typedef struct Lookup {
        Console *candidates[LOOKUP_CANDIDATES_MAX]; /* the first of them */
        size_t n;                                   /* 0: no such VM; 1: found; more: ambiguous */
        Fit fit;                                    /* of all of them */
} Lookup;

void lookup(const Concentrator *c, const char *designation, Lookup *ret);
