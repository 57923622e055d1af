/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/*
 * Refusals: describes and logs why a client is not admitted to a console (see console_admit()), or may only read.
 */

/* Logs why a client is not admitted, and counts it. */
void client_log_refusal(Console *console, const ClientRequest *request, ConsoleVerdict verdict);

/* Logs that @by has no right to @act. */
void console_log_not_permitted(Console *c, Act act, const Peer *by);

/* Tells a connection to the VM's port why it is refused, and closes it. */
void client_refuse(Console *console, int fd, const ClientRequest *request, ConsoleVerdict verdict);

/* Describes who may do @act at this VM: "root and group vspc, user:alice and others" */
#define REFUSAL_WHO_TEXT_MAX 512U
const char *console_describe_permitted(Console *c, Act act, char buffer[static REFUSAL_WHO_TEXT_MAX]);

/* "192.0.2.7:4711 has exclusive access since 2026-11-22 10:15:03 UTC" */
#define CLIENT_HOLD_TEXT_MAX (PEER_TEXT_MAX + 64U)
const char *client_describe_hold(const Client *c, char buffer[static CLIENT_HOLD_TEXT_MAX]);
