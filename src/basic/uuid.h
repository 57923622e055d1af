/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* UUIDs as vCenter shows them: 8-4-4-4-12 hex digits, in the order of the bytes that ESXi has sent. */
#define UUID_TEXT_MAX sizeof("00112233-4455-6677-8899-aabbccddeeff")

/* Two of them: the UUID that several VMs have, "~", and a BIOS UUID that tells one of them from the others. */
#define UUID_PAIR_TEXT_MAX (2 * UUID_TEXT_MAX)

/* The first UUID_TEXT_MAX - 1 characters of @text, which must be what uuid_format() would have written. Returns: 0 or
 * -EINVAL. */
int uuid_parse(const char *text, uint8_t ret[static 16]);

void uuid_format(const uint8_t uuid[static 16], char ret[static UUID_TEXT_MAX]);
