/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "basic/log.h"
#include "basic/text.h"
#include "console/message.h"
#include "console-label.h"

#define PORT_TEXT_MAX sizeof("65535")

/* Bytes of a VM's name in a message; the field has all of it. */
#define NAME_SHOWN_MAX 128U

static const char *add_field(ConsoleLabel *l, char **text, const char *name, const char *value) {
        char *begin = *text, *end = stpcpy(stpcpy(begin, name), value);

        l->field[l->n_fields++] = (struct iovec){begin, (size_t) (end - begin)};
        *text = end + 1;
        return begin + strlen(name);
}

ConsoleLabel *console_label_new(const Console *c) {
        char port[PORT_TEXT_MAX];
        size_t size = sizeof(ConsoleLabel) +
                      sizeof("VSPC_VM_NAME=") + sizeof("VSPC_VM_UUID=") + sizeof("VSPC_URI=") +
                      sizeof("VSPC_PORT=") + strlen(c->name) + strlen(c->uuid_text) + strlen(c->uri) +
                      sizeof port;

        ConsoleLabel *l = calloc(1, size);
        if (!l)
                return NULL;

        char *text = l->text;
        l->n_ref = 1;
        l->size = size;
        l->port = c->port;
        l->name = add_field(l, &text, "VSPC_VM_NAME=", c->name);
        l->uuid = add_field(l, &text, "VSPC_VM_UUID=", c->uuid_text);
        l->uri = add_field(l, &text, "VSPC_URI=", c->uri);
        if (l->port > 0) {
                snprintf(port, sizeof port, "%u", l->port);
                add_field(l, &text, "VSPC_PORT=", port);
        }

        return l;
}

ConsoleLabel *console_label_ref(ConsoleLabel *l) {
        (void) __atomic_add_fetch(&l->n_ref, 1, __ATOMIC_RELAXED);
        return l;
}

ConsoleLabel *console_label_unref(ConsoleLabel *l) {
        if (__atomic_sub_fetch(&l->n_ref, 1, __ATOMIC_ACQ_REL) == 0)
                free(l);

        return NULL;
}

bool console_label_fits(const ConsoleLabel *l, const Console *c) {
        return l->port == c->port && streq(l->name, c->name) && streq(l->uri, c->uri);
}

void console_label_log_gap(const ConsoleLabel *l, uint64_t n, const char *where) {
        const LogField fields[] = {
                {"VSPC_VM_NAME=", l->name},
                {"VSPC_VM_UUID=", l->uuid},
                {"VSPC_URI=", l->uri},
        };

        log_full(LOG_WARNING, 0,
                 &(LogFields){
                         .message_id = VSPC_MESSAGE_OUTPUT_NOT_LOGGED,
                         .field = fields,
                         .n_fields = ELEMENTSOF(fields),
                 },
                 "VM %.*s (%s): %" PRIu64 " bytes of its output are missing in %s",
                 (int) text_fit(l->name, NAME_SHOWN_MAX), l->name, l->uuid, n, where);
}
