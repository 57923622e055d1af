/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "basic/uuid.h"
#include "mapping.h"

/* In bytes, see vspc-backend.h: with MultiConsole= "_" and the URI are appended to a name. */
#define URI_MAX 3066U
#define NAME_MAX_BYTES (1536U + 1 + URI_MAX)

/* Returns: whether text_sanitize() would not change the text. */
static bool is_clean(const char *text, size_t max) {
        size_t left = strlen(text);
        if (left > max)
                return false;

        for (const uint8_t *p = (const uint8_t *) text; left > 0;) {
                uint32_t c;
                size_t n = utf8_decode(p, left, &c);
                if (n == 0 || !text_is_harmless(c))
                        return false;

                p += n;
                left -= n;
        }

        return true;
}

/* See console_make_id(). */
static bool is_id(const char *id, const uint8_t uuid[static 16], const char *uri) {
        uint8_t first[16], bios[16];

        if (uuid_parse(id, first) < 0 || memcmp(first, uuid, sizeof first) != 0)
                return false;

        id += UUID_TEXT_MAX - 1;
        if (*id == '~') {
                if (uuid_parse(id + 1, bios) < 0)
                        return false;
                id += UUID_TEXT_MAX;
        }

        return !*id || (*id == '_' && streq(id + 1, uri));
}

const char *mapping_problem(const Mapping *m) {
        if (!m->uri || !is_clean(m->uri, URI_MAX))
                return "URI= is missing, or not clean text";
        if (!m->id || !is_id(m->id, m->uuid, m->uri))
                return "ID= is neither the UUID, nor that with \"~\" and a BIOS UUID, or \"_\" and the URI, behind it";
        if (!m->name || !*m->name || !is_clean(m->name, NAME_MAX_BYTES))
                return "NAME= is missing, or not clean text";

        return NULL;
}

Mapping *mapping_dup(const Mapping *m) {
        size_t id = strlen(m->id) + 1, uri = strlen(m->uri) + 1, name = strlen(m->name) + 1;

        Mapping *copy = malloc(sizeof(Mapping) + id + uri + name);
        if (!copy)
                return NULL;

        char *text = (char *) (copy + 1);
        *copy = *m;
        copy->id = memcpy(text, m->id, id);
        copy->uri = memcpy(text + id, m->uri, uri);
        copy->name = memcpy(text + id + uri, m->name, name);
        return copy;
}
