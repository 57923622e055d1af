/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/*
 * COM-PORT (RFC 2217) of clients: programs open a VM's console as a serial port. They set a speed, look at the modem lines and
 * send breaks. Only the breaks reach the VM.
 */
bool client_uses_com_port(const Client *c);

/* The option has been switched on or off. Returns: 0 or a negative errno. */
int client_begin_com_port(Client *c);

/* Answers a subnegotiation. Returns: 0 or a negative errno. */
int client_confirm_com_port(Client *c, const TelnetEvent *event);
