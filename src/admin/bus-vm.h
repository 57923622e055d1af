/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "property.h"

/*
 * The D-Bus objects of VMs. They take no memory: an object's path contains the ID of the VM, and its properties are read from
 * the Console.
 */
typedef struct Bus Bus;

int bus_vm_export(Bus *b, sd_bus *connection);

/* Returns: the path of the object, to be freed; NULL if memory is short. */
char *bus_vm_path(const char *id);

/* Appends the interfaces of a VM with their properties (a{sa{sv}}). Returns: 0 or a negative errno, as do the following
 * functions. */
int bus_vm_append(sd_bus_message *m, const Console *console);

/* Appends the value of @p, which must be a property on D-Bus. */
int bus_vm_append_property(sd_bus_message *m, const VmProperty *p, const Console *console);

/* @type: "b", "q", "u" or "t" */
int bus_append_number(sd_bus_message *m, char type, uint64_t number);
