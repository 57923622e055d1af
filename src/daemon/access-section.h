/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/rights.h"
#include "problems.h"

/*
 * The sections [Access] of vspc.conf. There may be several, and unlike in other sections, an assignment only counts for the
 * section that contains it.
 */
#define CONFIG_SECTION_ACCESS "Access"

/* Returns: the key of [Access] with this name, ignoring case; or NULL. @n: bytes of @name */
const char *access_key_guess(const char *name, size_t n);

/* Returns: whether the value of this key of [Access] is a list, which may continue on further lines. */
bool access_key_is_list(const char *key);

/* Assigns to a key of the last section; an empty value resets the key. Returns: 0; -ENOKEY if there is no such key; -ENOMEM;
 * -E2BIG if the sections have too many words, or a word is too long; or -EINVAL if the value is invalid: then *ret_wants
 * completes "must be …", and *ret_bad is the invalid word, to be freed. */
int access_assign(Rights *r, const char *key, const char *value, const char **ret_wants, char **ret_bad);

/* Returns: a key that is missing in the last section; NULL if it is complete. */
const char *access_missing_key(const Rights *r);

/* Looks up the numbers of users and groups. This may block, because NSS may ask a server: do not call it in the event loop. */
void access_resolve(Rights *r, Problems *p);

/* Warns of settings that are valid, but may not do what was intended. */
void access_advise(const Rights *r, Problems *p);
