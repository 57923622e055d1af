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

/* Says that vspcd has let us down. Returns: @error. */
int verb_failed(Connection *c, int error);

/* Says that vspcd has refused, or knows no such VM. @vm: as it was named; NULL: it is about none. Returns: -EREMOTEIO. */
int verb_refused(const Connection *c, const VarlinkReply *reply, const char *vm);
int verb_refuse_unknown(const Connection *c, const char *vm);

/* For verbs that take several VMs: does it for each, also if vspcd refuses one of them. Returns: 0 or a negative errno. */
typedef int (*VerbForOne)(Connection *c, const char *vm, const Arguments *a);
int verb_for_each(const Arguments *a, VerbForOne run);

/* Prints @value and a line's end. In pure ASCII: so it is exact, and no terminal obeys a name. */
int verb_print_json(const json_t *value, JsonFormat format);
