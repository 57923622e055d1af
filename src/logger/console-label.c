/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "basic/log.h"
#include "basic/text.h"
#include "console-label.h"
#include "console/message.h"

#define NUMBER_MAX sizeof("0123456789abcdef")

/* Bytes of the VM's name in messages and in the identifier. VSPC_VM_NAME= has all of it. */
#define NAME_SHOWN_MAX 128U

/* journalctl shows this before a line. It is the entry's second SYSLOG_IDENTIFIER=, after "vspc-console", which all
 * lines have: journalctl finds an entry by either, and shows the last. */
#define IDENTIFIER "SYSLOG_IDENTIFIER=vspc-console/"

static const char *add_field(ConsoleLabel *l, char **text, const char *name, const char *value, size_t max) {
        char *begin = *text, *end = mempcpy(stpcpy(begin, name), value, text_fit(value, max));

        *end = 0;
        l->field[l->n_fields++] = (struct iovec){begin, (size_t) (end - begin)};
        *text = end + 1;
        return begin + strlen(name);
}

ConsoleLabel *console_label_new(const LogOpen *open) {
        char port[NUMBER_MAX], epoch[NUMBER_MAX];
        size_t size = sizeof("VSPC_VM_NAME=") + sizeof("VSPC_VM_UUID=") + sizeof("VSPC_URI=") + sizeof(IDENTIFIER) +
                      sizeof("VSPC_EPOCH=") + sizeof("VSPC_PORT=") + 2 * strlen(open->name) + strlen(open->uuid) +
                      strlen(open->uri) + sizeof epoch + sizeof port;

        ConsoleLabel *l = calloc(1, sizeof(ConsoleLabel) + size);
        if (!l)
                return NULL;

        char *text = l->text;
        l->name = add_field(l, &text, "VSPC_VM_NAME=", open->name, LOG_CHANNEL_TEXT_MAX);
        l->uuid = add_field(l, &text, "VSPC_VM_UUID=", open->uuid, LOG_CHANNEL_TEXT_MAX);
        l->uri = add_field(l, &text, "VSPC_URI=", open->uri, LOG_CHANNEL_TEXT_MAX);
        add_field(l, &text, IDENTIFIER, open->name, NAME_SHOWN_MAX);
        snprintf(epoch, sizeof epoch, "%016" PRIx64, open->epoch);
        add_field(l, &text, "VSPC_EPOCH=", epoch, LOG_CHANNEL_TEXT_MAX);
        if (open->port > 0) {
                snprintf(port, sizeof port, "%u", open->port);
                add_field(l, &text, "VSPC_PORT=", port, LOG_CHANNEL_TEXT_MAX);
        }

        return l;
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
