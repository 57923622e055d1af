/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <syslog.h>

#include "text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

size_t utf8_length(uint8_t first) {
        return first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
}

size_t utf8_decode(const uint8_t *p, size_t n, uint32_t *ret) {
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        size_t length = utf8_length(p[0]);

        if (length == 0 || length > n)
                return 0;

        uint32_t c = length == 1 ? p[0] : p[0] & (0xffU >> (length + 1));
        for (size_t i = 1; i < length; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3f);
        }

        /* Overlong forms, surrogates and values beyond Unicode are not UTF-8. */
        if (c < least[length] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
                return 0;

        *ret = c;
        return length;
}

/* Noncharacters are valid UTF-8, but journalctl takes text that contains one for binary data. */
bool text_is_harmless(uint32_t c) {
        return (c & 0xfffe) != 0xfffe && !(c >= 0xfdd0 && c <= 0xfdef) &&
               !(c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x2028 && c <= 0x202e) ||
                 (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x061c || c == 0xfeff);
}

char *text_sanitize(const void *data, size_t n, size_t max) {
        const uint8_t *p = data;

        if (n > max)
                n = text_cut(data, max);

        char *result = malloc(n * strlen(REPLACEMENT) + 1), *out = result;
        if (!result)
                return NULL;

        while (n > 0) {
                uint32_t c;
                size_t length = utf8_decode(p, n, &c);

                if (length > 0 && text_is_harmless(c))
                        out = mempcpy(out, p, length);
                else
                        out = mempcpy(out, REPLACEMENT, strlen(REPLACEMENT));

                length = MAX(length, (size_t) 1);
                p += length;
                n -= length;
        }

        *out = 0;
        return result;
}

char *text_format_va(const char *format, va_list ap) {
        char *text;

        return vasprintf(&text, format, ap) < 0 ? NULL : text;
}

char *text_format(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        char *text = text_format_va(format, ap);
        va_end(ap);

        return text;
}

char *text_format_clean_va(size_t max, const char *format, va_list ap) {
        _cleanup_free_ char *text = text_format_va(format, ap);

        return text ? text_sanitize(text, strlen(text), max) : NULL;
}

size_t text_cut(const void *text, size_t n) {
        const uint8_t *p = text;

        for (size_t i = 1; i <= 4 && i <= n; i++) {
                size_t length = utf8_length(p[n - i]);

                if (length > 0)
                        return length > i ? n - i : n;
        }

        return n;
}

size_t text_fit(const char *text, size_t max) {
        size_t n = strnlen(text, max + 1);

        return n > max ? text_cut(text, max) : n;
}

size_t text_sentence_length(const char *text, size_t n) {
        while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '.'))
                n--;

        return n;
}

const char *text_format_fingerprint(const uint8_t *data, size_t n, char *ret) {
        static const char digits[] = "0123456789ABCDEF";

        for (size_t i = 0; i < n; i++) {
                ret[3 * i] = digits[data[i] >> 4];
                ret[3 * i + 1] = digits[data[i] & 0xf];
                ret[3 * i + 2] = i + 1 < n ? ':' : 0;
        }

        return ret;
}

int text_take_priority(const char **line, size_t *n) {
        const char *p = *line;

        if (*n < 3 || p[0] != '<' || p[1] < '0' || p[1] > '7' || p[2] != '>')
                return LOG_INFO;

        *line += 3;
        *n -= 3;
        return MAX(p[1] - '0', LOG_ALERT);
}

int text_find(const char *const *names, size_t n, const char *text) {
        for (size_t i = 0; i < n; i++)
                if (names[i] && streq(names[i], text))
                        return (int) i;

        return -EINVAL;
}

int text_hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;

        return -1;
}

char *text_escape_url(const char *text) {
        static const char hex[] = "0123456789ABCDEF";
        char *escaped = malloc(3 * strlen(text) + 1), *p = escaped;

        if (!escaped)
                return NULL;

        for (; *text; text++) {
                uint8_t c = (uint8_t) *text;

                if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c))
                        *p++ = (char) c;
                else {
                        *p++ = '%';
                        *p++ = hex[c >> 4];
                        *p++ = hex[c & 15];
                }
        }
        *p = 0;
        return escaped;
}
