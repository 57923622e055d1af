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

/* For verbs that ask and print: says why it fails. */
int verb_connect(const Arguments *a, Connection **ret);

/* Says that vspcd has let us down, or refused. @vm: who it is about, or NULL. Returns: a negative errno. */
int verb_failed(Connection *c, int error);
int verb_refused(const Connection *c, const VarlinkReply *reply, const char *vm);

/* Prints @value and a line's end. In pure ASCII: so it is exact, and no terminal obeys a name. */
int verb_print_json(const json_t *value, JsonFormat format);
