/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/hash.h"
#include "basic/parse.h"
#include "basic/text.h"
#include "basic/uuid.h"
#include "mapping-file.h"

static bool is_plain(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

const char *mapping_file_name(const char *id, char buffer[static MAPPING_FILE_NAME_MAX]) {
        /* Room for "~", 16 digits, the suffix and a NUL */
        const size_t max = MAPPING_FILE_NAME_MAX - 1 - 16 - sizeof MAPPING_FILE_SUFFIX;
        size_t n = 0;

        for (const char *p = id; *p; p++) {
                if (n + 3 > max) {
                        n += (size_t) sprintf(buffer + n, "~%016llx", (unsigned long long) fnv1a_text(id));
                        break;
                }

                if (is_plain(*p))
                        buffer[n++] = *p;
                else if (*p == '_' && !memchr(id, '_', (size_t) (p - id))) /* between UUID and URI */
                        buffer[n++] = *p;
                else
                        n += (size_t) sprintf(buffer + n, "%%%02X", (uint8_t) *p);
        }

        strcpy(buffer + n, MAPPING_FILE_SUFFIX);
        return buffer;
}

static int append_text(Buffer *out, const char *key, const char *value) {
        int r = buffer_append(out, key, strlen(key));
        if (r >= 0)
                r = buffer_append(out, value, strlen(value));
        return r >= 0 ? buffer_append(out, "\n", 1) : r;
}

static int append_number(Buffer *out, const char *key, uint64_t value) {
        char text[sizeof("18446744073709551615")];

        snprintf(text, sizeof text, "%llu", (unsigned long long) value);
        return append_text(out, key, text);
}

int mapping_file_format(const Mapping *m, Buffer *out) {
        char uuid[UUID_TEXT_MAX];

        uuid_format(m->uuid, uuid);
        int r = append_text(out, "VERSION=", "1");
        if (r >= 0)
                r = append_text(out, "ID=", m->id);
        if (r >= 0)
                r = append_text(out, "UUID=", uuid);
        if (r >= 0)
                r = append_text(out, "URI=", m->uri);
        if (r >= 0)
                r = append_text(out, "NAME=", m->name);
        if (r >= 0 && m->port > 0)
                r = append_number(out, "PORT=", m->port);
        if (r >= 0)
                r = append_number(out, "STORED=", m->stored);
        if (r >= 0 && m->gone_since > 0)
                r = append_number(out, "GONE=", m->gone_since);
        return r;
}

/* The values found, NULL for those that are not there */
typedef struct Values {
        const char *version, *id, *uuid, *uri, *name, *port, *stored, *gone;
} Values;

static void take_value(Values *v, const char *key, const char *value) {
        const struct {
                const char *key;
                const char **value;
        } known[] = {
                {"VERSION", &v->version}, {"ID", &v->id},     {"UUID", &v->uuid},     {"URI", &v->uri},
                {"NAME", &v->name},       {"PORT", &v->port}, {"STORED", &v->stored}, {"GONE", &v->gone},
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(known[i].key, key))
                        *known[i].value = value;
}

static const char *split(char *text, Values *ret) {
        for (char *line = text, *end; *line; line = end + 1) {
                end = strchr(line, '\n');
                if (!end)
                        return "its last line is cut off";
                *end = 0;
                if (*line == '#' || !*line)
                        continue;

                char *equals = strchr(line, '=');
                if (!equals)
                        return "a line is not KEY=value";
                *equals = 0;
                take_value(ret, line, equals + 1);
        }

        return NULL;
}

static const char *parse_values(const Values *v, Mapping *m) {
        uint64_t port = 0;

        if (!v->version || !streq(v->version, "1"))
                return "VERSION= is not 1";
        if (!v->uuid || strlen(v->uuid) != UUID_TEXT_MAX - 1 || uuid_parse(v->uuid, m->uuid) < 0)
                return "UUID= is not 32 hex digits as 8-4-4-4-12";
        if (v->port && (parse_unsigned(v->port, UINT16_MAX, &port) < 0 || port == 0))
                return "PORT= is not a port";
        if (!v->stored || parse_unsigned(v->stored, UINT64_MAX, &m->stored) < 0)
                return "STORED= is not a time";
        if (v->gone && (parse_unsigned(v->gone, UINT64_MAX, &m->gone_since) < 0 || m->gone_since == 0))
                return "GONE= is not a time";

        m->id = v->id;
        m->uri = v->uri;
        m->name = v->name;
        m->port = (uint16_t) port;
        return mapping_problem(m);
}

int mapping_file_parse(char *text, size_t size, Mapping *ret_mapping, const char **ret_problem) {
        Values values = {};
        Mapping m = {};

        const char *problem = strlen(text) == size ? split(text, &values) : "it contains a NUL byte";
        if (!problem)
                problem = parse_values(&values, &m);
        if (problem) {
                *ret_problem = problem;
                return -EBADMSG;
        }

        *ret_mapping = m;
        return 0;
}
