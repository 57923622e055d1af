/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "transport/peer.h"

/*
 * Who is behind a name on the bus, as the bus itself knows it. Asked without waiting for the answer, which
 * sd_bus_query_sender_creds() and its like do.
 */

/* @handler gets the answer, for bus_read_credentials(). */
int bus_ask_credentials(sd_bus *connection, sd_bus_slot **ret_slot, const char *name,
                        sd_bus_message_handler_t handler, void *userdata);

/* Returns: 0, or a negative errno if the bus does not know. */
int bus_read_credentials(sd_bus_message *answer, Peer *ret);
