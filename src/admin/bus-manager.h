/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/*
 * The concentrator as an object on the bus: counts, all VMs, and the way from what people call a VM to its
 * object.
 */
typedef struct Bus Bus;

int bus_manager_export(Bus *b, sd_bus *connection);
