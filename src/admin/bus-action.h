/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "console/console.h"

/*
 * BusAction: the methods on D-Bus that do something to a VM, the same as in Varlink. The manager's object and the VM's own
 * object have the same ones.
 *
 * They read from @m the arguments after the VM's designation, and check the caller's rights, if necessary with polkit (BusCall).
 * They return the values of a handler of sd-bus: > 0 if @m has been or will be answered, or a negative errno, which sd-bus
 * answers.
 */
typedef struct Bus Bus;

typedef int BusVMMethod(Bus *b, sd_bus_message *m, const Console *console);

BusVMMethod bus_attach, bus_set_access, bus_disconnect_client, bus_say, bus_clear, bus_forget;

/* Flags of Attach(), like the parameters of the same names in Varlink */
enum {
        BUS_ATTACH_FORCE = 1 << 0,
        BUS_ATTACH_NO_SCROLLBACK = 1 << 1,
        BUS_ATTACH_NOTICES_APART = 1 << 2,
        _BUS_ATTACH_ALL = (1 << 3) - 1,
};

/* Answers that no VM is named @designation. */
int bus_refuse_no_such_vm(sd_bus_message *m, const char *designation);
