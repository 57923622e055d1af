/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport/account.h"

/*
 * ConsoleCharge: what a console keeps on behalf of a client and charges to the client's owner. Most consoles keep nothing most
 * of the time, and have no such charge then.
 */
typedef struct Console Console;

typedef struct ConsoleCharge {
        Charge charge;
        Console *console;
} ConsoleCharge;

/* Opens *charge for the owner of @payer, unless it is open. Without the memory for that it stays NULL, and nothing is charged. */
void console_charge_open(ConsoleCharge **charge, Console *console, const Charge *payer, ChargeClass class, ChargeHandler give_up);

/* Closes and frees *charge, if it is not NULL. */
void console_charge_close(ConsoleCharge **charge);

/* Sets the size of what is charged; 0 closes the charge. Does nothing if it is NULL. */
void console_charge_set(ConsoleCharge **charge, size_t size);
