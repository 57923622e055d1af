/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "console/console.h"

/*
 * BusAction: the methods on D-Bus that do something to a VM: Attach, Clear and Forget. The manager's object and the VM's own
 * object have the same ones.
 *
 * They read from @m the arguments that follow the VM's designation (Attach: the access mode), and decide with polkit's help
 * (BusCall) whether the caller may. They return what a handler of sd-bus has to: > 0 if @m has been or will be answered, or a
 * negative errno, which sd-bus answers.
 */
typedef struct Bus Bus;

typedef int BusVMMethod(Bus *b, sd_bus_message *m, const Console *console);

BusVMMethod bus_attach, bus_clear, bus_forget;

/* Answers that no VM is named @designation. */
int bus_refuse_no_such_vm(sd_bus_message *m, const char *designation);
