/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/client.h"
#include "varlink-connection.h"

/*
 * org.vspc.Concentrator: what can be asked and done in Varlink. Its methods for people who share a console are in
 * varlink-sharing.c.
 */
extern const VarlinkInterface varlink_concentrator;

/* See admin_reloaded(). */
void varlink_concentrator_reloaded(VarlinkServer *s, uint64_t number, int result, char *const *problems, size_t n);

/* Returns: NULL if that does not name one VM that the caller may list; that has been answered then. */
Console *varlink_find_vm(VarlinkConnection *c, const char *vm);

/* Logs and answers that a client is not admitted, or does not get other access. */
void varlink_refuse_client(VarlinkConnection *c, Console *console, const char *vm, const ClientRequest *request,
                           ConsoleVerdict verdict);
