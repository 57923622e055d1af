/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "text.h"
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

int uuid_parse(const char *text, uint8_t ret[static 16]) {
        char again[UUID_TEXT_MAX];
        uint8_t uuid[16] = {};
        unsigned n = 0;

        for (const char *p = text; *p && n < 2 * sizeof uuid; p++) {
                int digit = text_hex_digit(*p);
                if (digit < 0)
                        continue;

                uuid[n / 2] = (uint8_t) (uuid[n / 2] << 4 | digit);
                n++;
        }

        uuid_format(uuid, again);
        if (n != 2 * sizeof uuid || strncmp(again, text, UUID_TEXT_MAX - 1) != 0)
                return -EINVAL;

        memcpy(ret, uuid, sizeof uuid);
        return 0;
}
