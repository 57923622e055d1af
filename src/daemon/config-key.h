/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config.h"

/*
 * ConfigKey: something that can be assigned in vspc.conf: where it is in a Config, how a value is read, and what is to
 * be said of a bad one.
 */

typedef struct ConfigKey ConfigKey;

/* Parses @value and stores it in @target. Returns: 0, -ENOMEM, or another negative errno if the value is invalid. */
typedef int (*ConfigParser)(const ConfigKey *key, const char *value, void *target);

struct ConfigKey {
        const char *section, *name;
        ConfigParser parse;
        size_t offset, size; /* of the place in a Config */
        uint64_t min, max;   /* of a number */
        Doors doors;         /* of a key of [TLS]: which it guards */
        const char *wants;   /* completes "must be …" */
};

#define CONFIG_SECTION_TLS "TLS"

/* NULL if there is no such key; *ret_section_known: whether there is such a section. */
const ConfigKey *config_key_find(const char *section, const char *name, bool *ret_section_known);

/* The key whose name this is, in whatever section and whatever case. @n: bytes of @name. NULL if there is none. */
const ConfigKey *config_key_guess(const char *name, size_t n);

/* Calls for all of them. Returns: 0, or the first negative errno that @f returns, which ends it. */
int config_key_foreach(int (*f)(const ConfigKey *key, Config *to, const Config *from), Config *to, const Config *from);

/* Returns: as ConfigParser does; a value that the key does not take is noted in @c. */
int config_key_assign(const ConfigKey *key, Config *c, const char *value);

void config_key_set_bad(const ConfigKey *key, Config *c);
bool config_key_is_bad(const ConfigKey *key, const Config *c);

/* Makes it in @to what it is in @from. Returns: 0 or -ENOMEM, and then nothing has changed. */
int config_key_copy(const ConfigKey *key, Config *to, const Config *from);

/* How much of a bad value is for the log: enough to find it by, and not what is behind the colon of Backend=, which
 * may be a password. */
size_t config_key_shown(const ConfigKey *key, const char *value);
