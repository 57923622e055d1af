/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* The object of the concentrator on the bus: counts, all VMs, and methods that find VMs by a name, UUID or port. */
typedef struct Bus Bus;

int bus_manager_export(Bus *b, sd_bus *connection);
