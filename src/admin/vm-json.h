/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/client.h"
#include "json-writer.h"

/*
 * The VM and Client objects of org.vspc.Concentrator, as its interface definition has them.
 */

/* Of a VM's clients these are listed; how many there are is told besides. */
#define VM_JSON_CLIENTS_MAX 64U

void vm_json_write(JsonWriter *w, const char *key, const Console *console);
void client_json_write(JsonWriter *w, const char *key, const Client *client);
