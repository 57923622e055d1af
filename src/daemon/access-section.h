/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/rights.h"
#include "problems.h"

/*
 * The sections [Access] of vspc.conf. Unlike others there may be any number of them, and each assignment belongs to the
 * one that it is in.
 */
#define CONFIG_SECTION_ACCESS "Access"

/* Returns: the key of [Access] whose name this is, in whatever case; NULL if there is none. @n: bytes of @name. */
const char *access_key_guess(const char *name, size_t n);

/* Whether the value of this key, which is one of [Access], is a list that may have several lines. */
bool access_key_is_list(const char *key);

/* Takes an assignment to the last section. An empty value takes back what the section has been given before. Returns: 0,
 * -ENOKEY if there is no such key, -ENOMEM, -E2BIG if the sections are too many or too long, or -EINVAL; *ret_wants then
 * completes "must be …", and *ret_bad is the word that is wrong, to be freed. */
int access_assign(Rights *r, const char *key, const char *value, const char **ret_wants, char **ret_bad);

/* Returns: the key that the last section lacks; NULL: none. */
const char *access_missing_key(const Rights *r);

/* Finds the numbers of users and groups: NSS may have to ask a server for them, so this is not for the loop. */
void access_resolve(Rights *r, Problems *p);

/* What is as it was asked for, and perhaps not as it was meant. */
void access_advise(const Rights *r, Problems *p);
