/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* UUIDs as vCenter shows them: 8-4-4-4-12 hex digits, in the order of the bytes that ESXi has sent. */
#define UUID_TEXT_MAX sizeof("00112233-4455-6677-8899-aabbccddeeff")

void uuid_format(const uint8_t uuid[static 16], char ret[static UUID_TEXT_MAX]);
