/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/client.h"
#include "varlink-connection.h"

/*
 * org.vspc.Concentrator: the interface of vspcd in Varlink. Its methods for people who share a console are in varlink-sharing.c.
 */
extern const VarlinkInterface varlink_concentrator;

/* See admin_reloaded(). */
void varlink_concentrator_reloaded(VarlinkServer *s, uint64_t number, int result, char *const *problems, size_t n);

/* Returns: the VM that @vm designates; NULL, after an error reply, if it is not exactly one that the caller may list. */
Console *varlink_find_vm(VarlinkConnection *c, const char *vm);

/* Logs and replies that a client is not admitted, or does not get the requested access. */
void varlink_refuse_client(VarlinkConnection *c, Console *console, const char *vm, const ClientRequest *request,
                           ConsoleVerdict verdict);
