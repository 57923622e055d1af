/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* UUIDs in the form that vCenter shows: 8-4-4-4-12 hex digits, in the order of the bytes that ESXi has sent. */
#define UUID_TEXT_MAX sizeof("00112233-4455-6677-8899-aabbccddeeff")

/* A UUID that several VMs have, "~", and the BIOS UUID that distinguishes one of them */
#define UUID_PAIR_TEXT_MAX (2 * UUID_TEXT_MAX)

/* Parses the first UUID_TEXT_MAX - 1 characters of @text, which must have exactly the form that uuid_format() writes.
 * Returns: 0 or -EINVAL. */
int uuid_parse(const char *text, uint8_t ret[static 16]);

void uuid_format(const uint8_t uuid[static 16], char ret[static UUID_TEXT_MAX]);
