/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm.h"

/* All that is known about a VM, as lines for people: for "show", and for "info" at the prompt of attach. */
void show_vm(FILE *f, const json_t *vm, Users users);
