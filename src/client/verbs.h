/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "arguments.h"
#include "connection.h"

/* The verbs of vspc-client. Return: 0, or a negative errno after a message. */
int verb_list(const Arguments *a);
int verb_show(const Arguments *a);
int verb_attach(const Arguments *a);
int verb_watch(const Arguments *a);
int verb_clients(const Arguments *a);
int verb_disconnect(const Arguments *a);
int verb_say(const Arguments *a);
int verb_clear(const Arguments *a);
int verb_forget(const Arguments *a);
int verb_monitor(const Arguments *a);
int verb_metrics(const Arguments *a);
int verb_log(const Arguments *a);

/* Shows why a call of @c has failed. @vm: as given by the user; NULL if the call is not about a VM. Returns: @error. */
int verb_failed(const Connection *c, int error, const char *vm);

/* Prints @value and a newline. The output is pure ASCII, so that it is exact and names cannot act on a terminal. */
int verb_print_json(const json_t *value, JsonFormat format);
