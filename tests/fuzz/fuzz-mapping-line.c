/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A line of vspcd's file of mappings, of any bytes: it is refused in words, or it is a removal, or a mapping of clean text
 * within its bounds that is written and read again as the same. The input is taken with a checksum of its own, as fields
 * after a checksum that is right, and as fields that are separated by line ends.
 */

#include "fuzz.h"
#include "store/mapping-line.h"
#include "utf8.h"

static void test_text(const char *text) {
        assert(utf8_is_valid(text) && utf8_is_harmless(text));
}

static void test_mapping(const Mapping *m) {
        char line[MAPPING_LINE_MAX];
        const char *problem;
        Mapping again;

        if (!m->name) /* a removal, of anything */
                return;

        test_text(m->id);
        test_text(m->uri);
        test_text(m->name);
        assert(strlen(m->id) >= 36 && *m->name);

        int n = mapping_line_format(m, line);
        assert(n > 0 && line[n - 1] == '\n' && !memchr(line, '\n', (size_t) n - 1));
        line[--n] = 0;
        char *copy = strdup(line); /* of its exact size */
        assert(copy);
        if (mapping_line_parse(copy, (size_t) n, &again, &problem) < 0)
                abort();

        assert(streq(again.id, m->id) && streq(again.uri, m->uri) && streq(again.name, m->name));
        assert(memcmp(again.uuid, m->uuid, sizeof m->uuid) == 0 && again.port == m->port);
        assert(again.stored == m->stored && again.gone_since == m->gone_since);
        free(copy);
}

typedef int (*Parser)(char *text, size_t size, Mapping *ret_mapping, const char **ret_problem);

static int parse_fields(char *text, size_t size, Mapping *ret_mapping, const char **ret_problem) {
        return mapping_fields_parse(text, size, '\t', ret_mapping, ret_problem);
}

static int parse_lines(char *text, size_t size, Mapping *ret_mapping, const char **ret_problem) {
        return mapping_fields_parse(text, size, '\n', ret_mapping, ret_problem);
}

static void test_parser(Parser parse, const uint8_t *data, size_t size) {
        const char *problem = NULL;
        Mapping mapping;

        char *text = malloc(size + 1);
        assert(text);
        memcpy(text, data, size);
        text[size] = 0;

        if (parse(text, size, &mapping, &problem) >= 0)
                test_mapping(&mapping);
        else
                assert(problem && *problem);

        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size >= MAPPING_LINE_MAX)
                return 0;

        test_parser(mapping_line_parse, data, size);
        test_parser(parse_fields, data, size);
        test_parser(parse_lines, data, size);
        return 0;
}
