/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/hash.h"
#include "basic/parse.h"
#include "basic/uuid.h"
#include "mapping-line.h"

#define CHECKSUM_SIZE 8U /* hex digits */
#define UNCHECKED "-"

/* Room for the checksum, the keys and the numbers */
#define TEXTS_MAX (MAPPING_LINE_MAX - 256U)

static void checksum(const char *text, size_t n, char ret[static CHECKSUM_SIZE + 1]) {
        uint64_t hash = fnv1a(FNV1A_BEGIN, text, n);

        snprintf(ret, CHECKSUM_SIZE + 1, "%08x", (uint32_t) (hash ^ hash >> 32));
}

int mapping_line_format(const Mapping *m, char line[static MAPPING_LINE_MAX]) {
        const char *name = m->name ?: "", *uri = m->uri ?: "";
        char sum[CHECKSUM_SIZE + 1], *fields = line + sizeof sum;
        int n;

        if (strlen(m->id) + strlen(name) + strlen(uri) > TEXTS_MAX)
                return -ENOBUFS;
        if (strpbrk(m->id, "\t\n") || strpbrk(name, "\t\n") || strpbrk(uri, "\t\n"))
                return -EINVAL;

        if (m->name) {
                n = sprintf(fields, "ID=%s\tNAME=%s\tURI=%s", m->id, name, uri);
                if (m->port > 0)
                        n += sprintf(fields + n, "\tPORT=%u", m->port);
                n += sprintf(fields + n, "\tSTORED=%llu", (unsigned long long) m->stored);
                if (m->gone_since > 0)
                        n += sprintf(fields + n, "\tGONE=%llu", (unsigned long long) m->gone_since);
        } else
                n = sprintf(fields, "REMOVED=%s", m->id);

        checksum(fields, (size_t) n, sum);
        memcpy(line, sum, CHECKSUM_SIZE);
        line[CHECKSUM_SIZE] = '\t';
        strcpy(fields + n, "\n");
        return (int) sizeof sum + n + 1;
}

/* The values found, NULL for missing ones */
typedef struct Values {
        const char *id, *name, *uri, *port, *stored, *gone, *removed;
} Values;

static void take_value(Values *v, const char *key, const char *value) {
        const struct {
                const char *key;
                const char **value;
        } known[] = {
                {"ID", &v->id},         {"NAME", &v->name}, {"URI", &v->uri},         {"PORT", &v->port},
                {"STORED", &v->stored}, {"GONE", &v->gone}, {"REMOVED", &v->removed},
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(known[i].key, key))
                        *known[i].value = value;
}

static bool is_number(const char *text, uint64_t max, uint64_t *ret) {
        return !text || parse_unsigned(text, max, ret) >= 0;
}

static const char *parse_values(const Values *v, Mapping *m) {
        uint64_t port = 0;

        if (v->removed) {
                m->id = v->removed;
                return NULL;
        }

        if (!is_number(v->port, UINT16_MAX, &port))
                return "PORT= is not a port";
        if (!is_number(v->stored, UINT64_MAX, &m->stored))
                return "STORED= is not a time";
        if (!is_number(v->gone, UINT64_MAX, &m->gone_since))
                return "GONE= is not a time";
        if (v->id)
                (void) uuid_parse(v->id, m->uuid); /* mapping_problem() compares them */

        m->id = v->id;
        m->uri = v->uri ?: "";
        m->name = v->name ?: v->id;
        m->port = (uint16_t) port;
        return mapping_problem(m);
}

static const char *parse_fields(char *text, char separator, Mapping *m) {
        Values values = {};

        for (char *field = text, *next; field; field = next) {
                next = strchr(field, separator);
                if (next)
                        *next++ = 0;
                if (!*field || *field == '#')
                        continue;

                char *equals = strchr(field, '=');
                if (!equals)
                        return "a field is not KEY=value";
                *equals = 0;
                take_value(&values, field, equals + 1);
        }

        return parse_values(&values, m);
}

int mapping_fields_parse(char *text, size_t size, char separator, Mapping *ret_mapping, const char **ret_problem) {
        Mapping m = {};

        const char *problem = strlen(text) == size ? parse_fields(text, separator, &m) : "it contains a NUL byte";
        if (problem) {
                *ret_problem = problem;
                return -EBADMSG;
        }

        *ret_mapping = m;
        return 0;
}

int mapping_line_parse(char *line, size_t size, Mapping *ret_mapping, const char **ret_problem) {
        char sum[CHECKSUM_SIZE + 1];

        char *fields = memchr(line, '\t', size);
        if (!fields) {
                *ret_problem = "it does not begin with a checksum, or \"-\", and a TAB";
                return -EBADMSG;
        }
        *fields++ = 0;
        size -= (size_t) (fields - line);

        checksum(fields, size, sum);
        if (!streq(line, sum) && !streq(line, UNCHECKED)) {
                *ret_problem = "its checksum is wrong (if you edit a line, replace the checksum by \"-\")";
                return -EBADMSG;
        }

        return mapping_fields_parse(fields, size, '\t', ret_mapping, ret_problem);
}
