/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <getopt.h>

#include "macro.h"

/*
 * Options: reads a program's command line by a table of its options; --help (-h) and --version are added. Mistakes are shown on
 * stderr. Characters that could act on a terminal are replaced.
 */
typedef struct Option Option;

/* Checks @value (NULL: the option has none) and stores it in @target, the program's arguments. Returns: 0, or a negative errno
 * after a message (option_refuse()). */
typedef int (*OptionTaker)(const Option *o, const char *value, void *target);

struct Option {
        const char *name;
        int has_value; /* no_argument, optional_argument or required_argument, see getopt_long(3) */
        int letter;    /* the short form; 0: none */
        size_t offset; /* where to store the value in the target */
        OptionTaker take; /* NULL: stores the value as const char *, or true if has_value is no_argument */
        uint64_t max;     /* for the taker: the highest number */
        const char *text; /* for the taker */
};

typedef struct Options {
        const char *program; /* for messages and --version */
        const char *help;    /* the text of --help */
        const Option *option;
        size_t n;
        enum {
                OPTIONS_ONLY,
                OPTIONS_AND_WORDS, /* optind is the index of the first word in argv */
        } kind;
} Options;

/* Returns: 1 to continue, 0 to exit (--help, --version), or a negative errno after a message. */
int options_parse(const Options *o, int argc, char *argv[], void *target);

/* '--NAME: "VALUE" is not WANTED.' Returns: -EINVAL. */
int option_refuse(const Option *o, const char *value, const char *wanted);

/* The place of the option in @target */
static inline void *option_place(const Option *o, void *target) {
        return (char *) target + o->offset;
}
