/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/*
 * Sharing: what people who share a console do to each other: take over, disconnect others, change their access, and say
 * something. The right admin permits this for all clients; other people may only do it to their own clients.
 */

/* The maximum bytes of a text that is said, and the maximum of texts in this time at a VM */
#define SHARING_TEXT_MAX 160U
#define SHARING_SAY_MAX 10U
#define SHARING_SAY_USEC (10 * USEC_PER_SEC)

/* Returns: whether @who may do @act to @client. */
bool sharing_permits(Console *c, Act act, const Identity *who, const Client *client);

/* Returns: whether @request may take over from all clients in its way (but not @except). */
bool sharing_may_take_over(Console *c, const ClientRequest *request, const Client *except);

/* Makes way for @request: clients in its way (but not @except) become read-only; for exclusive access, they are disconnected.
 * They are told. Returns: false, and nothing has changed, if it may not take over from one of them. */
bool sharing_take_over(Console *c, const ClientRequest *request, const Client *except);

/* Changes the access of @client. @request: who requests the change, the new access mode, and whether to take over. Sets
 * request->granted. */
ConsoleVerdict sharing_set_access(Console *c, Client *client, ClientRequest *request);

void sharing_disconnect(Console *c, Client *client, const Peer *by);

/* Shows @text to all clients that speak telnet. The rate limit does not apply to people with the right admin. Returns: the
 * number of clients, -EBUSY if too many texts have been said, or -ENOMEM. */
int sharing_say(Console *c, const Peer *by, const char *text);

/* Returns: the client with this number; NULL if the VM has no such client. */
Client *console_find_client(Console *c, uint64_t number);
