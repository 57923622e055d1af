/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/*
 * What a client is sent of its VM's output.
 */

/* Has it begin with the scrollback. What is at the cursor now comes after the replay. */
void client_go_to_scrollback(Client *c);

/* Sends what is queued, then one thing more. Returns: false if nothing more can be sent now. */
bool client_send_next(Client *c);

/* Whether output is kept for it that is too old for the scrollback. */
bool client_lags(const Client *c);

/* That is not kept any more: it skips this output, or is disconnected. */
void client_lose_lag(Client *c);
