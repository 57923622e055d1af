/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "uuid.h"

void uuid_format(const uint8_t uuid[static 16], char ret[static UUID_TEXT_MAX]) {
        static const char digits[] = "0123456789abcdef";
        char *p = ret;

        for (unsigned i = 0; i < 16; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *p++ = '-';
                *p++ = digits[uuid[i] >> 4];
                *p++ = digits[uuid[i] & 0xf];
        }
        *p = 0;
}
