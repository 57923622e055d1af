/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "arguments.h"
#include "connection.h"

/* The verbs of vspc-client. Each says itself what has gone wrong. Returns: 0 or a negative errno. */
int verb_list(const Arguments *a);
int verb_show(const Arguments *a);
int verb_attach(const Arguments *a);
int verb_clear(const Arguments *a);
int verb_forget(const Arguments *a);
int verb_monitor(const Arguments *a);
int verb_metrics(const Arguments *a);
int verb_log(const Arguments *a);

/* Says why a call at @c has failed. @vm: as it was named; NULL: the call is not about one. Returns:
 * @error. */
int verb_failed(const Connection *c, int error, const char *vm);

/* Prints @value and a line's end. In pure ASCII: so it is exact, and no terminal obeys a name. */
int verb_print_json(const json_t *value, JsonFormat format);
