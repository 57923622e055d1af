/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "transport/peer.h"

/*
 * Asks the bus which user and process own a name, without blocking (sd_bus_query_sender_creds() would block).
 */

/* @handler must pass the answer to bus_read_credentials(). Returns: 0 or a negative errno. */
int bus_ask_credentials(sd_bus *connection, sd_bus_slot **ret_slot, const char *name,
                        sd_bus_message_handler_t handler, void *userdata);

/* Returns: 0; or a negative errno if the bus does not know the owner. */
int bus_read_credentials(sd_bus_message *answer, Peer *ret);
