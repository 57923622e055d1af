/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A state file of any bytes: it is refused in words, or it is a mapping of clean text within its bounds that is
 * written and read again as the same. Its file's name stays in its folder, whatever the ID.
 */

#include "basic/text.h"
#include "fuzz.h"
#include "store/mapping-file.h"
#include "utf8.h"

static void test_name(const char *id) {
        char name[MAPPING_FILE_NAME_MAX], again[MAPPING_FILE_NAME_MAX];

        mapping_file_name(id, name);
        assert(strlen(name) < sizeof name && !strchr(name, '/') && name[0] != '.');
        assert(streq(mapping_file_name(id, again), name));
}

static void test_text(const char *text) {
        assert(utf8_is_valid(text) && utf8_is_harmless(text));
}

static void test_mapping(const Mapping *m) {
        Buffer text = BUFFER_INIT(2 * MAPPING_FILE_SIZE_MAX);
        const char *problem;
        Mapping again;

        test_text(m->id);
        test_text(m->uri);
        test_text(m->name);
        test_name(m->id);
        assert(strlen(m->id) >= 36 && *m->name);

        if (mapping_file_format(m, &text) < 0)
                abort();
        char *copy = calloc(1, text.size + 1);
        if (!copy)
                abort();
        memcpy(copy, buffer_data(&text), text.size);
        if (mapping_file_parse(copy, text.size, &again, &problem) < 0)
                abort();

        assert(streq(again.id, m->id) && streq(again.uri, m->uri) && streq(again.name, m->name));
        assert(memcmp(again.uuid, m->uuid, sizeof m->uuid) == 0 && again.port == m->port);
        assert(again.stored == m->stored && again.gone_since == m->gone_since);
        buffer_clear(&text);
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *problem = NULL;
        Mapping mapping;

        if (size > MAPPING_FILE_SIZE_MAX)
                return 0;

        char *text = malloc(size + 1);
        assert(text);
        memcpy(text, data, size);
        text[size] = 0;

        char *id = text_sanitize(data, size, size);
        assert(id);
        if (*id)
                test_name(id);
        free(id);

        if (mapping_file_parse(text, size, &mapping, &problem) >= 0)
                test_mapping(&mapping);
        else
                assert(problem && *problem);

        free(text);
        return 0;
}
