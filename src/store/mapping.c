/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "mapping.h"

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
