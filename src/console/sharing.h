/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/*
 * What people do to each other at a console that they share: take over, disconnect, change what somebody holds, say
 * something. Whoever has the right admin may do these to everybody, everybody else to their own clients.
 */

/* Bytes of what somebody says, and how often it may be said at a VM */
#define SHARING_TEXT_MAX 160U
#define SHARING_SAY_MAX 10U
#define SHARING_SAY_USEC (10 * USEC_PER_SEC)

/* Whether @who may take over from @client, disconnect it, or change what it holds. */
bool sharing_permits(Console *c, Act act, const Identity *who, const Client *client);

/* Whether @request may take over from all who are in the way, @except set aside. */
bool sharing_may_take_over(Console *c, const ClientRequest *request, const Client *except);

/* Makes way for @request, which takes over: those who are in the way, @except set aside, only read from now on, or are
 * disconnected if it wants to be alone. All are told. Returns: false if it may not take over from one of them; then nothing
 * has happened. */
bool sharing_take_over(Console *c, const ClientRequest *request, const Client *except);

/* Gives @client other access. @request: whose peer wants it for the client, which access, and whether to take over. Sets
 * request->granted. */
ConsoleVerdict sharing_set_access(Console *c, Client *client, ClientRequest *request);

void sharing_disconnect(Console *c, Client *client, const Peer *by);

/* Tells all clients that speak telnet. Those with the right admin are not limited by others. Returns: how many; -EBUSY if too much has been said lately. */
int sharing_say(Console *c, const Peer *by, const char *text);

/* NULL if the VM has no client of this number. */
Client *console_find_client(Console *c, uint64_t number);
