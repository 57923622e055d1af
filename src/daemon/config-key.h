/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config.h"

/*
 * ConfigKey: something that can be assigned in vspc.conf: where it is in a Config, how a value is read, and what is to
 * be said of a bad one.
 */

/* Takes a value to its place. Returns: 0, or a negative errno for what is no such value. */
typedef int (*ConfigParser)(const char *value, void *target);

typedef struct ConfigKey {
        const char *section, *name;
        ConfigParser parse;
        size_t offset, size; /* of the place in a Config */
        const char *wants;   /* completes "wants …" */
} ConfigKey;

/* NULL if there is no such key; *ret_section_known: whether there is such a section. */
const ConfigKey *config_key_find(const char *section, const char *name, bool *ret_section_known);

/* Returns: as ConfigParser does. */
int config_key_assign(const ConfigKey *key, Config *c, const char *value);

/* Makes it what it is in @defaults, which has no text for any key. */
void config_key_reset(const ConfigKey *key, Config *c, const Config *defaults);

/* How much of a bad value is for the log: enough to find it by, and not what is behind the colon of Backend=, which
 * may be a password. */
size_t config_key_shown(const ConfigKey *key, const char *value);
