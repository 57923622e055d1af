/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "console/console.h"

/*
 * What can be done to a VM by way of the bus, and the errors by which that is refused. All return as the
 * handlers of sd-bus do: > 0 if @m has been, or will be, answered.
 */
typedef struct Bus Bus;

int bus_clear(Bus *b, sd_bus_message *m, const Console *console);
int bus_forget(Bus *b, sd_bus_message *m, const Console *console);

/* @access: an access mode in words, "" for the default */
int bus_attach(Bus *b, sd_bus_message *m, const Console *console, const char *access);

int bus_refuse_no_such_vm(sd_bus_message *m, const char *designation);
