/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "config.h"

/*
 * ConfigKey: a key of vspc.conf: its section, its place in a Config, the parser of its values, and the text for messages about
 * invalid values. All keys are in one table.
 */

typedef struct ConfigKey ConfigKey;

/* Parses @value and stores it in @target. Returns: 0, -ENOMEM, or another negative errno if the value is invalid. */
typedef int (*ConfigParser)(const ConfigKey *key, const char *value, void *target);

struct ConfigKey {
        const char *section, *name;
        ConfigParser parse;
        size_t offset, size; /* of its place in a Config, in bytes */
        uint64_t min, max;   /* of a number */
        Doors doors;         /* in [TLS]: the doors that stay closed if the value is invalid */
        const char *wants;   /* completes "must be …" */
};

#define CONFIG_SECTION_TLS "TLS"

/* Returns: the key, or NULL. *ret_section_known: whether there is such a section. */
const ConfigKey *config_key_find(const char *section, const char *name, bool *ret_section_known);

/* Returns: the key with this name in any section, ignoring case; or NULL. @n: bytes of @name */
const ConfigKey *config_key_guess(const char *name, size_t n);

/* Calls @f for each key until it fails. Returns: 0, or the negative errno that @f has returned. */
int config_key_foreach(int (*f)(const ConfigKey *key, Config *to, const Config *from), Config *to, const Config *from);

/* Parses @value and stores it in @c; marks the key as bad if it is invalid. Returns: the values of ConfigParser. */
int config_key_assign(const ConfigKey *key, Config *c, const char *value);

void config_key_set_bad(const ConfigKey *key, Config *c);
bool config_key_is_bad(const ConfigKey *key, const Config *c);

/* Copies the value from @from to @to. Returns: 0; or -ENOMEM, and nothing has changed. */
int config_key_copy(const ConfigKey *key, Config *to, const Config *from);

/* Returns: how many bytes of an invalid value may be logged: enough to find it, but nothing after the colon of Backend=, which
 * may be a password. */
size_t config_key_shown(const ConfigKey *key, const char *value);

/* Sets the defaults like config_init(), but does not report mistakes in the environment again. For resetting keys. */
void config_set_defaults(Config *c);

/* Reads the lines of a file, which messages call @name, into @c (config-text.c). Returns: 0 or a negative errno. */
int config_load_stream(Config *c, const char *name, FILE *file, Problems *p);
