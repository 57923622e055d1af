/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "log/log-channel.h"

/*
 * ConsoleLabel: what a console was called when it said something, as vspcd has told it.
 */
#define CONSOLE_LABEL_FIELDS 6U /* name, UUID, URI, identifier, epoch, port */

typedef struct ConsoleLabel {
        const char *name, *uuid, *uri;
        struct iovec field[CONSOLE_LABEL_FIELDS]; /* VSPC_VM_NAME=…, as the journal has them; the port is last */
        size_t n_fields;                          /* without the port, if there is none */
        char text[];
} ConsoleLabel;

/* Returns: NULL if memory is short; to be freed by the caller. */
ConsoleLabel *console_label_new(const LogOpen *open);

/* Logs that @n bytes of the console's output are missing in what it is logged to, @where. */
void console_label_log_gap(const ConsoleLabel *l, uint64_t n, const char *where);
