/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "basic/hash.h"
#include "basic/text.h"
#include "basic/uuid.h"
#include "file-name.h"

/* Bytes of an escaped name; two UUIDs leave less room. With the longest prefix, one UUID and ".log", 16 bytes are
 * left. */
#define NAME_MAX_SIZE 132U

/* "~" and 64 bits in hex, at the end of a shortened name */
#define HASH_SIZE 17U

static bool is_plain(uint32_t c, bool first) {
        return text_is_harmless(c) && c != '/' && c != '%' && !(first && (c == '.' || c == '-'));
}

/* Escapes the character at @p into @out. *ret_size: bytes in @out. Returns: bytes of the name that were read. */
static size_t escape_character(const char *p, bool first, char out[static 4], size_t *ret_size) {
        static const char digits[] = "0123456789ABCDEF";
        uint32_t c;

        size_t n = utf8_decode((const uint8_t *) p, strnlen(p, 4), &c);
        if (n > 0 && is_plain(c, first)) {
                memcpy(out, p, n);
                *ret_size = n;
                return n;
        }

        out[0] = '%';
        out[1] = digits[(uint8_t) *p >> 4];
        out[2] = digits[*p & 0xf];
        *ret_size = 3;
        return 1;
}

/* Escapes @name into @ret, which has room for @size bytes and a NUL. Returns: bytes of @name that fit. */
static size_t escape(const char *name, char *ret, size_t size) {
        const char *p = name;
        size_t used = 0;

        while (*p) {
                char out[4];
                size_t n, k = escape_character(p, p == name, out, &n);

                if (used + n > size)
                        break;
                memcpy(ret + used, out, n);
                used += n;
                p += k;
        }

        ret[used] = 0;
        return (size_t) (p - name);
}

void file_name_make(const char *prefix, const char *name, const char *uuid, char ret[static FILE_NAME_SIZE]) {
        size_t n_uuid = strlen(uuid);
        char escaped[NAME_MAX_SIZE + 1];

        assert(n_uuid >= UUID_TEXT_MAX - 1 && n_uuid < UUID_PAIR_TEXT_MAX);

        size_t max = NAME_MAX_SIZE - (n_uuid - (UUID_TEXT_MAX - 1));

        if (name[escape(name, escaped, max)]) {
                (void) escape(name, escaped, max - HASH_SIZE);
                snprintf(escaped + strlen(escaped), HASH_SIZE + 1, "~%016" PRIx64, fnv1a_text(name));
        }

        snprintf(ret, FILE_NAME_SIZE, "%s%s%s-%s.log", prefix ?: "", prefix ? "-" : "", escaped, uuid);
}

bool file_name_prefix_is_valid(const char *prefix) {
        _cleanup_free_ char *clean = text_sanitize(prefix, strlen(prefix), FILE_NAME_PREFIX_MAX);

        return *prefix && *prefix != '.' && *prefix != '-' && !strchr(prefix, '/') && clean &&
               streq(clean, prefix);
}
