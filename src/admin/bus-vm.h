/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "property.h"

/*
 * A VM as an object on the bus. There is none in memory: a path is a VM's identity, and its properties are
 * the console's.
 */
typedef struct Bus Bus;

int bus_vm_export(Bus *b, sd_bus *connection);

/* To be freed by the caller; NULL if memory is short. */
char *bus_vm_path(const char *id);

/* Appends its interfaces with their properties, a{sa{sv}}. */
int bus_vm_append(sd_bus_message *m, const Console *console);

/* Appends the value of @p, which is on D-Bus. */
int bus_vm_append_property(sd_bus_message *m, const VmProperty *p, const Console *console);

/* @type: "b", "q", "u" or "t" */
int bus_append_number(sd_bus_message *m, char type, uint64_t number);
