/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "json-writer.h"

static void append(JsonWriter *w, const void *data, size_t n) {
        if (w->error == 0)
                w->error = buffer_append(w->out, data, n);
}

static void append_text(JsonWriter *w, const char *text) {
        append(w, text, strlen(text));
}

/* Whether RFC 8259, section 7, requires @c to be escaped in a string */
static bool needs_escape(char c) {
        return c == '"' || c == '\\' || (unsigned char) c < 0x20;
}

static void append_escaped(JsonWriter *w, char c) {
        static const char digits[] = "0123456789abcdef";

        if (c == '"' || c == '\\')
                append(w, (const char[]){'\\', c}, 2);
        else
                append(w, (const char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 0xf]}, 6);
}

static void append_string(JsonWriter *w, const char *s) {
        append(w, "\"", 1);

        for (;;) {
                const char *p = s;

                while (*p && !needs_escape(*p))
                        p++;

                append(w, s, (size_t) (p - s));
                if (!*p)
                        break;
                append_escaped(w, *p);
                s = p + 1;
        }

        append(w, "\"", 1);
}

static void begin_value(JsonWriter *w, const char *key) {
        if (TAKE(w->comma, true))
                append(w, ",", 1);

        if (key) {
                append_string(w, key);
                append(w, ":", 1);
        }
}

void json_writer_begin_object(JsonWriter *w, const char *key) {
        begin_value(w, key);
        append(w, "{", 1);
        w->comma = false;
}

void json_writer_end_object(JsonWriter *w) {
        append(w, "}", 1);
        w->comma = true;
}

void json_writer_begin_array(JsonWriter *w, const char *key) {
        begin_value(w, key);
        append(w, "[", 1);
        w->comma = false;
}

void json_writer_end_array(JsonWriter *w) {
        append(w, "]", 1);
        w->comma = true;
}

void json_writer_put_string(JsonWriter *w, const char *key, const char *value) {
        begin_value(w, key);
        append_string(w, value);
}

void json_writer_put_unsigned(JsonWriter *w, const char *key, uint64_t value) {
        char text[sizeof("18446744073709551615")], *p = text + sizeof text;

        do
                *--p = (char) ('0' + value % 10);
        while ((value /= 10) > 0);

        begin_value(w, key);
        append(w, p, (size_t) (text + sizeof text - p));
}

void json_writer_put_boolean(JsonWriter *w, const char *key, bool value) {
        begin_value(w, key);
        append_text(w, value ? "true" : "false");
}
