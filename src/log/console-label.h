/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "console/console.h"

/*
 * ConsoleLabel: what a console was called when it said something. It never changes once it is made: threads
 * share it, and what was said under an old name is not logged under a new one.
 */
#define CONSOLE_LABEL_FIELDS 4U /* name, UUID, URI, port */

typedef struct ConsoleLabel {
        unsigned n_ref;
        uint16_t port; /* 0: none */
        const char *name, *uuid, *uri;
        struct iovec field[CONSOLE_LABEL_FIELDS]; /* VSPC_VM_NAME=…, as the journal has them; the port is last */
        size_t n_fields;                          /* without the port, if there is none */
        size_t size;                              /* in memory */
        char text[];
} ConsoleLabel;

ConsoleLabel *console_label_new(const Console *c);
ConsoleLabel *console_label_ref(ConsoleLabel *l);
ConsoleLabel *console_label_unref(ConsoleLabel *l);
DEFINE_TRIVIAL_CLEANUP_FUNC(ConsoleLabel *, console_label_unref);

/* Whether it is what @c is called now. */
bool console_label_fits(const ConsoleLabel *l, const Console *c);

/* Logs that @n bytes of the console's output are missing in what it is logged to, @where. */
void console_label_log_gap(const ConsoleLabel *l, uint64_t n, const char *where);
