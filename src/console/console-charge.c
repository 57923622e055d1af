/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console-charge.h"

void console_charge_open(ConsoleCharge **charge, Console *console, const Charge *payer, ChargeClass class, ChargeHandler give_up) {
        if (*charge)
                return;

        *charge = calloc(1, sizeof(ConsoleCharge));
        if (!*charge)
                return;

        (*charge)->console = console;
        charge_open_like(&(*charge)->charge, payer, class, give_up);
}

void console_charge_close(ConsoleCharge **charge) {
        ConsoleCharge *closed = TAKE_PTR(*charge);

        if (closed)
                charge_close(&closed->charge);
        free(closed);
}

void console_charge_set(ConsoleCharge **charge, size_t size) {
        if (size == 0)
                console_charge_close(charge);
        else if (*charge)
                charge_set(&(*charge)->charge, size);
}
