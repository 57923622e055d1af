/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "log/log-channel.h"

/*
 * ConsoleLabel: identifies a console in log entries: its name, UUID, URI, port and epoch at the time of its output, as fields
 * of the journal.
 */
#define CONSOLE_LABEL_FIELDS 6U /* name, UUID, URI, identifier, epoch, port */

typedef struct ConsoleLabel {
        const char *name, *uuid, *uri;
        struct iovec field[CONSOLE_LABEL_FIELDS]; /* "VSPC_VM_NAME=…" and so on; the port, if there is one, is the last */
        size_t n_fields;
        char text[]; /* of the fields */
} ConsoleLabel;

/* Returns: a label, to be freed with free(); NULL if memory is short. */
ConsoleLabel *console_label_new(const LogOpen *open);

/* Logs that @n bytes of the console's output are missing in @where ("the journal", or a file). */
void console_label_log_gap(const ConsoleLabel *l, uint64_t n, const char *where);
