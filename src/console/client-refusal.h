/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/*
 * Refusals: clients that are not admitted to a console (see console_admits()), or may only read.
 */

/* Logs that a client is not admitted. */
void client_log_refusal(const Console *console, const ClientRequest *request, ConsoleVerdict verdict);

/* Tells a connection to the VM's port why it is not admitted, and closes it. */
void client_refuse(Console *console, int fd, const ClientRequest *request, ConsoleVerdict verdict);

/* "192.0.2.7:4711 has exclusive access since 2026-11-22 10:15:03 UTC" */
#define CLIENT_HOLD_TEXT_MAX (PEER_TEXT_MAX + 64U)
const char *client_describe_hold(const Client *c, char buffer[static CLIENT_HOLD_TEXT_MAX]);
