/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"
#include "console/client.h"
#include "json-writer.h"
#include "metric.h"

/*
 * VmProperty: something that is told about a VM. A table declares each property once, for Varlink and for D-Bus: its names,
 * its types, its value, and the events after which it may have changed.
 *
 * The values of metrics are collected here, too.
 */

/* What a getter fills in: the text of a property of type "s", the number of another one. */
typedef struct PropertyValue {
        const char *text;
        uint64_t number;
        char buffer[CONSOLE_CLASH_TEXT_MAX]; /* for a text that has to be made */
} PropertyValue;

typedef struct VmProperty {
        const char *key;       /* in Varlink; NULL: it is not told there */
        const char *type;      /* … with "?" if it is left out while it has no value, which is "", 0 or "never" */
        const char *name;      /* on D-Bus; NULL: it is not told there */
        const char *signature; /* … "s", "b", "q", "u" or "t" */
        unsigned changes;      /* a bit for each ConsoleEvent, 1U << event; 0: no event tells of it */
        bool constant;
        void (*get)(const Console *c, PropertyValue *v);
        void (*write)(const Console *c, JsonWriter *w, const char *key); /* in Varlink, instead of @get; or NULL */
} VmProperty;

#define VM_PROPERTIES_N 19U
extern const VmProperty vm_properties[VM_PROPERTIES_N];

/* Of a VM's clients so many are listed; how many there are is a property of its own. */
#define VM_CLIENTS_LISTED_MAX 64U

/* The objects VM and Client of org.vspc.Concentrator */
void vm_json_write(JsonWriter *w, const char *key, const Console *console);
void client_json_write(JsonWriter *w, const char *key, const Client *client);

/* NULL: there is no property of this name on D-Bus. */
const VmProperty *vm_property_find(const char *name);

/* @ret: in the order of the rows of metrics[]. @n_admin: admin connections */
void metrics_collect(Concentrator *c, unsigned n_admin, uint64_t ret[static METRICS_N]);
