/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport/account.h"

/*
 * ConsoleCharge: memory of a console that is charged to the owner of a client. It is only allocated while there is something to
 * charge, which is rare.
 */
typedef struct Console Console;

typedef struct ConsoleCharge {
        Charge charge;
        Console *console;
} ConsoleCharge;

/* Opens *charge for the owner of @payer, unless it is open. If memory is short, it stays NULL, and nothing is charged. */
void console_charge_open(ConsoleCharge **charge, Console *console, const Charge *payer, ChargeClass class, ChargeHandler give_up);

/* Closes and frees *charge, if it is not NULL. */
void console_charge_close(ConsoleCharge **charge);

/* Sets the charged size; 0 closes the charge. Does nothing if it is NULL. */
void console_charge_set(ConsoleCharge **charge, size_t size);
